/* fuzz_config.c - coordinator.json and agent.json as a person wrote them: loaded, or refused with a text. */
#include "fuzz.h"
#include "agent/config.h"
#include "coordinator/config.h"
#include "fuzz_folder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *dir = fuzz_folder();
    g_autoptr(GError) error = NULL;
    fuzz_folder_put("coordinator.json", data, size);
    g_autoptr(SlConfig) config = sl_config_load(dir, &error);
    g_assert_true((config == NULL) == (error != NULL));
    g_clear_error(&error);
    fuzz_folder_put("agent.json", data, size);
    g_autoptr(SlAgentConf) conf = sl_agent_conf_load(dir, &error);
    g_assert_true((conf == NULL) == (error != NULL));
    g_autoptr(json_t) options = conf != NULL ? sl_agent_conf_options(conf) : NULL;
    return 0;
}
