/* fuzz_request.c - what people and agents ask of the coordinator, at its brain: "VERB\n{args}", "view\n{query}", or a statement (report,
 * seal, enrol), which is signed here as the registered agent dev1 would. Whatever is asked, it is answered, and the ledger folds to the
 * very state that the answer left. */
#include "fuzz_fleet_rig.h"

static void ask(const char *verb, json_t *args)
{
    if (strcmp(verb, "view") == 0) {
        fuzz_views(fuzz_rig->coord, fuzz_rig->now_us, args);
        json_decref(args);
        return;
    }
    rig_ask(fuzz_rig, verb, args); /* an answer is asserted there */
    g_assert_cmpint(fuzz_rig->status, >=, 200);
    if (fuzz_rig->status >= 400 && sl_json_str(fuzz_rig->reply, "error.message") == NULL) {
        fuzz_fail("%s is refused without a word", verb);
    }
}

static bool is_statement(const uint8_t *data, size_t size, SlStatementKind *ret_kind)
{
    static const SlStatementKind kinds[] = {SL_STATEMENT_REPORT, SL_STATEMENT_SEAL, SL_STATEMENT_ENROL};
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        g_autofree char *intro = g_strdup_printf("format: 1\nkind: %s\n", sl_statement_kind_name(kinds[i]));
        if (size > strlen(intro) && memcmp(data, intro, strlen(intro)) == 0) {
            *ret_kind = kinds[i];
            return true;
        }
    }
    return false;
}

static void say(SlStatementKind kind, const uint8_t *data, size_t size)
{
    static const uint8_t proof[32];
    Agent *agent = rig_agent(fuzz_rig, "dev1");
    g_autoptr(GBytes) text = g_bytes_new(data, size);
    g_autoptr(SlSigned) s = sl_signed_new(text);
    sl_signed_sign(s, kind, agent->secret);
    SlCoordInput in = {.type = kind == SL_STATEMENT_SEAL ? SL_COORD_SEAL : SL_COORD_REPORT};
    in.statement = (SlCoordStatement){.curve = agent->curve, .statement = s};
    if (kind == SL_STATEMENT_ENROL) {
        in = (SlCoordInput){.type = SL_COORD_ENROL};
        in.enrol = (SlCoordEnrol){.request_id = "e", .statement = s, .token_id = "0123456789abcdef0123456789abcdef", .proof = proof};
    }
    rig_step(fuzz_rig, &in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    SlStatementKind kind;
    const uint8_t *end = memchr(data, '\n', MIN(size, 40));
    fuzz_rig_make();
    bool statement = is_statement(data, size, &kind);
    g_autoptr(json_t) args =
        !statement && end != NULL ? sl_json_parse((const char *)end + 1, size - (size_t)(end + 1 - data), NULL, "body", NULL) : NULL;
    if (!statement && args == NULL) {
        return 0;
    }
    sl_coord_free(fuzz_rig->coord);
    fuzz_rig->coord = rig_fold(fuzz_rig, fuzz_base);
    rig_start(fuzz_rig);
    agent_hello(fuzz_rig, "dev1");
    if (statement) {
        say(kind, data, size);
    } else {
        g_autofree char *verb = g_strndup((const char *)data, (gsize)(end - data));
        ask(verb, g_steal_pointer(&args));
    }
    rig_assert_same(fuzz_rig);
    g_ptr_array_set_size(fuzz_rig->ledger, (gint)fuzz_base);
    return 0;
}
