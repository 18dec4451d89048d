/* order.c - the order statement as a struct: what its scope may look like for each act. */
#include "core/order.h"
#include "base/digest.h"
#include "base/text.h"
#include "core/fields.h"
#include <string.h>

#define FIELD(key, type, name)                                                                     \
    {                                                                                              \
        key, SL_FIELD_##type, offsetof(SlOrder, name)                                              \
    }
static const SlField order_fields[] = {
    FIELD("fleet", HEX, fleet),          FIELD("environment", NAME, env),
    FIELD("epoch", UINT, epoch),         FIELD("act", ACT, act),
    FIELD("scope", TEXT, scope),         FIELD("number", UINT, number),
    FIELD("expires", TIME, expires_us),  FIELD("cluster", TEXT, cluster),
    FIELD("nonce", HEX32, nonce),        FIELD("unit-floor", STRV, unit_floors),
    FIELD("requester", TEXT, requester), FIELD("reason", TEXT, reason),
};
#undef FIELD

/* What may stand in one word of a scope or floor. */
typedef enum { WORD_ENV, WORD_UNIT, WORD_NAME, WORD_HEX, WORD_NUMBER } Word;

static const struct {
    const char *name;
    Word words[4];
    size_t count;
    unsigned acts; /* bits of SlAct */
} scopes[] = {
    {"env", {WORD_ENV}, 1, 1U << SL_ACT_PAUSE | 1U << SL_ACT_RESUME},
    {"unit", {WORD_UNIT}, 1, 1U << SL_ACT_PAUSE | 1U << SL_ACT_RESUME},
    {"promotion", {WORD_HEX}, 1, 1U << SL_ACT_RENEW},
    {"run-key", {WORD_UNIT, WORD_NAME, WORD_HEX, WORD_NUMBER}, 4, 1U << SL_ACT_START_RUN},
    {"run", {WORD_UNIT, WORD_HEX}, 2, 1U << SL_ACT_STOP_RUN},
};

static bool is_unit(const char *text, const char *env)
{
    const char *slash = strchr(text, '/');
    g_autofree char *app = slash != NULL ? g_strndup(text, (size_t)(slash - text)) : NULL;
    return app != NULL && sl_is_name(app) && strcmp(slash + 1, env) == 0;
}

static bool is_word(const char *text, Word word, const char *env)
{
    uint64_t number = 0;
    switch (word) {
    case WORD_ENV:
        return strcmp(text, env) == 0;
    case WORD_UNIT:
        return is_unit(text, env);
    case WORD_NAME:
        return sl_is_name(text);
    case WORD_HEX:
        return sl_is_hex_digest(text);
    case WORD_NUMBER:
        return sl_parse_uint64(text, &number);
    }
    return false;
}

static bool are_words(char *const *texts, const Word *words, size_t count, const char *env)
{
    if (g_strv_length((char **)(uintptr_t)texts) != count) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (!is_word(texts[i], words[i], env)) {
            return false;
        }
    }
    return true;
}

static bool check_scope(const SlOrder *order, GError **error)
{
    g_auto(GStrv) words = g_strsplit(order->scope != NULL ? order->scope : "", " ", 6);
    for (size_t i = 0; words[0] != NULL && i < G_N_ELEMENTS(scopes); i++) {
        if (strcmp(words[0], scopes[i].name) != 0) {
            continue;
        }
        if ((scopes[i].acts & 1U << order->act) == 0) {
            return sl_throw(error, SLU_STATEMENT_FORMAT, "scope: `%s` is not for the act %s",
                            words[0], sl_act_name(order->act));
        }
        return are_words(words + 1, scopes[i].words, scopes[i].count, order->env) ||
               sl_throw(error, SLU_STATEMENT_FORMAT,
                        "scope: `%s` is malformed, or not of the environment %s", order->scope,
                        order->env);
    }
    return sl_throw(error, SLU_STATEMENT_FORMAT,
                    "scope: `%s` must start with env, unit, promotion, run-key or run",
                    order->scope != NULL ? order->scope : "");
}

/* Floors, cluster and nonce come together: they are the answer to one agent's state-lost. */
static bool check_floors(const SlOrder *order, GError **error)
{
    static const Word floor[] = {WORD_UNIT, WORD_NUMBER, WORD_HEX};
    bool lost = order->cluster != NULL || order->nonce != NULL;
    if (lost && (order->cluster == NULL || order->nonce == NULL || order->act != SL_ACT_RESUME)) {
        return sl_throw(error, SLU_STATEMENT_FORMAT,
                        "cluster and nonce belong together, to the act resume only");
    }
    if (order->cluster != NULL && !sl_is_name(order->cluster)) {
        return sl_throw(error, SLU_STATEMENT_FORMAT, "cluster: `%s` is not a name", order->cluster);
    }
    for (size_t i = 0; order->unit_floors != NULL && order->unit_floors[i] != NULL; i++) {
        g_auto(GStrv) words = g_strsplit(order->unit_floors[i], " ", 5);
        if (!lost || !are_words(words, floor, G_N_ELEMENTS(floor), order->env)) {
            return sl_throw(error, SLU_STATEMENT_FORMAT, "unit-floor: `%s` %s",
                            order->unit_floors[i],
                            lost ? "is malformed" : "needs cluster and nonce");
        }
    }
    return true;
}

static bool check_order(const void *record, GError **error)
{
    const SlOrder *order = record;
    if (order->number == 0 || order->epoch == 0) {
        return sl_throw(error, SLU_STATEMENT_FORMAT, "%s: numbers start at 1",
                        order->number == 0 ? "number" : "epoch");
    }
    return check_scope(order, error) && check_floors(order, error);
}

static const SlRecord order_record = {
    .kind = SL_STATEMENT_ORDER,
    .size = sizeof(SlOrder),
    .env_offset = offsetof(SlOrder, env),
    .count = G_N_ELEMENTS(order_fields),
    .fields = order_fields,
    .check = check_order,
};

SlOrder *sl_order_parse(GBytes *text, GError **error)
{
    return sl_record_parse(&order_record, text, error);
}

GBytes *sl_order_format(const SlOrder *order, GError **error)
{
    return sl_record_format(&order_record, order, error);
}

void sl_order_free(SlOrder *order)
{
    sl_record_free(&order_record, order);
}

char *sl_order_app(const SlOrder *order)
{
    g_auto(GStrv) words = g_strsplit(order->scope, " ", 3);
    const char *slash = words[0] != NULL && words[1] != NULL ? strchr(words[1], '/') : NULL;
    return slash != NULL ? g_strndup(words[1], (size_t)(slash - words[1])) : NULL;
}
