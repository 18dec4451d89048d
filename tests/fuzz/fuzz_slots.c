/* fuzz_slots.c - an agent's state as read from disk: accepted or called lost, never a crash. The input is a slot, or the JSON inside one:
 * then it is packed first, for no mutation ever meets the digest of a slot. */
#include "fuzz.h"
#include "agent/brain/state.h"

static GBytes *no_blob(const char *digest, void *user)
{
    (void)digest;
    (void)user;
    return NULL;
}

/* What was read must bear a life: a start, a connection, a tick, a look. */
static void live(SlAgent *agent)
{
    static const SlAgentInput inputs[] = {
        {.type = SL_AGENT_START}, {.type = SL_AGENT_CONNECTED, .nonce = "0123456789abcdef0123456789abcdef"}, {.type = SL_AGENT_TICK}};
    int64_t now = INT64_C(1790000100) * SL_SECOND_US;
    for (size_t i = 0; i < G_N_ELEMENTS(inputs); i++) {
        g_autoptr(SlAgentOutput) out = sl_agent_output_new();
        sl_agent_step(agent, &inputs[i], now, out);
    }
    g_autoptr(json_t) view = sl_agent_view(agent, now);
}

static void start_from(GBytes *slot)
{
    static const uint8_t secret[64] = {1};
    SlAgentConfig config = {.secret = secret, .cluster = "prod1", .env = "dev", .version = "0", .boot = "00000000000000000000000000000000",
                            .root_digest = "9d1866bc497c18baaa3952ceab5b427fe88bf81abb6c8bbe34677b85b6d0d2df", .blob = no_blob};
    g_autoptr(SlAgent) agent = sl_agent_new(&config, slot, NULL, NULL);
    if (agent != NULL) {
        live(agent);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GBytes) raw = g_bytes_new(data, size);
    start_from(raw);
    g_autoptr(json_t) content = sl_json_parse((const char *)data, size, NULL, "fuzz", NULL);
    if (content != NULL) {
        g_autoptr(GBytes) slot = sl_slot_pack(content, 7);
        start_from(slot);
    }
    return 0;
}
