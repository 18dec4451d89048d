/* fuzz_journal.c - journals that the process engine finds after a restart: a run's, a server's, a config folder's. The same bytes are all
 * three; /bin/true stands for sluice-exec, so no program of theirs is started. */
#include "fuzz.h"
#include "fuzz_folder.h"
#include "agent/store/models.h"
#include "base/json.h"
#include "runtime/loop.h"
#include "runtime/workq.h"
#include "sluice/engine.h"

#define RUN "1111111111111111111111111111111111111111111111111111111111111111"

static void applied(void *user, const SlEngineRef *ref, const char *digest, const GError *error)
{
    (void)user, (void)ref, (void)digest, (void)error;
}

static void removed(void *user, const SlEngineRef *ref, const GError *error)
{
    (void)user, (void)ref, (void)error;
}

static void observed(void *user, const SlEngineRef *ref, SlHealth health, const char *reason, const char *message)
{
    (void)user, (void)ref, (void)health, (void)message;
    g_assert_nonnull(reason);
}

static void said(void *user, const char *run_id, const json_t *record)
{
    (void)user;
    g_autofree char *text = sl_json_canonical(record, NULL);
    if (text == NULL) {
        fuzz_fail("run %s has no canonical record", run_id);
    }
}

static GBytes *no_blob(const char *digest, void *user)
{
    (void)digest, (void)user;
    return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const SlEngineEvents events = {NULL, applied, removed, observed, said, said};
    g_autofree char *state = g_build_filename(fuzz_folder(), "state", NULL);
    g_autofree char *models = g_build_filename(fuzz_folder(), "models", NULL);
    (void)!sl_dir_remove_tree(state, NULL);
    fuzz_folder_put("state/runs/" RUN "/run.json", data, size);
    fuzz_folder_put("state/servers/one/server.json", data, size);
    fuzz_folder_put("state/config/.one.json", data, size);
    g_autoptr(json_t) options = json_object();
    SlLoop *loop = sl_loop_new();
    SlWorkq *queue = sl_workq_new(loop, 1, 64);
    SlModelCacheConfig cache = {.store_dir = NULL, .cache_dir = models, .queue = queue};
    SlModelCache *store = sl_models_open(&cache, NULL);
    SlEngineConfig config = {.state_dir = state, .options = options, .exec_path = "/bin/true", .loop = loop,
                             .clock = &sl_clock_real, .models = store, .blob = no_blob, .events = &events};
    const SlEngineOps *ops = sl_engine_find("process");
    g_autoptr(GError) error = NULL;
    SlEngine *engine = ops->open(&config, &error);
    g_assert_no_error(error);
    for (int i = 0; i < 5; i++) {
        sl_loop_turn(loop, 0);
    }
    ops->close(engine);
    sl_workq_free(queue);
    sl_models_close(store);
    sl_loop_free(loop);
    return 0;
}
