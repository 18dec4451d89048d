/* registry.c - the registry statement as a struct, and the entry of one cluster in its digest map.
 */
#include "core/registry.h"
#include "base/digest.h"
#include "base/text.h"
#include "core/fields.h"
#include <string.h>

#define LABELS_MAX 32
#define LABEL_BYTES_MAX 63

#define FIELD(key, type, name)                                                                     \
    {                                                                                              \
        key, SL_FIELD_##type, offsetof(SlRegistry, name)                                           \
    }
static const SlField registry_fields[] = {
    FIELD("fleet", HEX, fleet),  FIELD("environment", NAME, env),  FIELD("version", UINT, version),
    FIELD("count", UINT, count), FIELD("clusters", HEX, clusters),
};
#undef FIELD

static const SlRecord registry_record = {
    .kind = SL_STATEMENT_REGISTRY,
    .size = sizeof(SlRegistry),
    .env_offset = offsetof(SlRegistry, env),
    .count = G_N_ELEMENTS(registry_fields),
    .fields = registry_fields,
};

SlRegistry *sl_registry_parse(GBytes *text, GError **error)
{
    return sl_record_parse(&registry_record, text, error);
}

GBytes *sl_registry_format(const SlRegistry *registry, GError **error)
{
    return sl_record_format(&registry_record, registry, error);
}

void sl_registry_free(SlRegistry *registry)
{
    sl_record_free(&registry_record, registry);
}

void sl_cluster_free(SlCluster *cluster)
{
    if (cluster == NULL) {
        return;
    }
    g_free(cluster->id);
    g_free(cluster->name);
    g_free(cluster->engine);
    g_free(cluster->curve);
    sl_public_key_free(cluster->sign);
    g_clear_pointer(&cluster->labels, g_hash_table_unref);
    g_free(cluster);
}

static bool is_label_text(const char *text, bool is_key)
{
    size_t len = strlen(text);
    if (len > LABEL_BYTES_MAX || (is_key && len == 0)) {
        return false;
    }
    for (const char *c = text; *c != '\0'; c++) {
        if (!g_ascii_isalnum(*c) && strchr(is_key ? "-_./" : "-_.", *c) == NULL) {
            return false;
        }
    }
    return true;
}

static bool is_built_in_label(const char *key)
{
    return strcmp(key, "engine") == 0 || strcmp(key, "cluster") == 0;
}

bool sl_cluster_label_check(const char *key, const char *value, GError **error)
{
    if (is_built_in_label(key)) {
        return sl_throw(error, SLU_REGISTRY_ENTRY, "label `%s` is built in", key);
    }
    if (is_label_text(key, true) && is_label_text(value, false)) {
        return true;
    }
    g_autofree char *shown = sl_escape_for_people(key, 64);
    return sl_throw(error, SLU_REGISTRY_ENTRY,
                    "label `%s`: letters, digits, '-', '_' and '.' (in the name also '/'), at most "
                    "%d; the name not empty",
                    shown, LABEL_BYTES_MAX);
}

static bool parse_labels(SlCluster *cluster, const char *text, GError **error)
{
    cluster->labels = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_hash_table_insert(cluster->labels, g_strdup("engine"), g_strdup(cluster->engine));
    g_hash_table_insert(cluster->labels, g_strdup("cluster"), g_strdup(cluster->name));
    if (strcmp(text, "-") == 0) {
        return true;
    }
    g_auto(GStrv) pairs = g_strsplit(text, ",", LABELS_MAX + 1);
    const char *before = "";
    if (pairs[0] == NULL) {
        return sl_throw(error, SLU_REGISTRY_ENTRY, "cluster %s: labels: write - if there are none",
                        cluster->id);
    }
    for (size_t i = 0; pairs[i] != NULL; i++) {
        char *equals = strchr(pairs[i], '=');
        if (equals == NULL || i >= LABELS_MAX) {
            return sl_throw(error, SLU_REGISTRY_ENTRY,
                            "cluster %s: labels: `%s` is not key=value, or "
                            "there are more than %d",
                            cluster->id, pairs[i], LABELS_MAX);
        }
        *equals = '\0';
        if (!is_label_text(pairs[i], true) || !is_label_text(equals + 1, false) ||
            strcmp(pairs[i], before) <= 0 || is_built_in_label(pairs[i])) {
            return sl_throw(
                error, SLU_REGISTRY_ENTRY,
                "cluster %s: labels: `%s` is malformed, unsorted, there twice or reserved",
                cluster->id, pairs[i]);
        }
        before = pairs[i];
        g_hash_table_insert(cluster->labels, g_strdup(pairs[i]), g_strdup(equals + 1));
    }
    return true;
}

/* The type stands in the blob as its first string, so the entry does not repeat it. */
static SlPublicKey *parse_key(const char *base64, GError **error)
{
    g_autoptr(GBytes) blob = sl_unbase64(base64, strlen(base64));
    size_t len = 0;
    const uint8_t *bytes = blob != NULL ? g_bytes_get_data(blob, &len) : NULL;
    if (len < 5 || bytes[0] != 0 || bytes[1] != 0 || bytes[2] != 0 || bytes[3] > len - 4) {
        return sl_throw_null(error, SLU_REGISTRY_ENTRY, "sign: is not a key blob in base64");
    }
    g_autofree char *line =
        g_strdup_printf("%.*s %s", (int)bytes[3], (const char *)bytes + 4, base64);
    return sl_public_key_parse(line, error);
}

SlCluster *sl_cluster_parse(const char *id, const char *values, GError **error)
{
    static const char *const keys[] = {"name=", "engine=", "sign=", "curve=", "labels="};
    g_auto(GStrv) words = g_strsplit(values, " ", G_N_ELEMENTS(keys) + 1);
    bool shaped = g_strv_length(words) == G_N_ELEMENTS(keys) && sl_is_name(id);
    for (size_t i = 0; shaped && i < G_N_ELEMENTS(keys); i++) {
        shaped = g_str_has_prefix(words[i], keys[i]);
    }
    if (!shaped) {
        return sl_throw_null(error, SLU_REGISTRY_ENTRY,
                             "cluster %s: must be name=.. engine=.. sign=.. curve=.. labels=..",
                             id);
    }
    g_autoptr(SlCluster) cluster = g_new0(SlCluster, 1);
    cluster->id = g_strdup(id);
    cluster->name = g_strdup(words[0] + strlen(keys[0]));
    cluster->engine = g_strdup(words[1] + strlen(keys[1]));
    cluster->curve = g_strdup(words[3] + strlen(keys[3]));
    if (!sl_is_name(cluster->name) || !sl_is_name(cluster->engine) ||
        !sl_is_hex_digest(cluster->curve)) {
        return sl_throw_null(error, SLU_REGISTRY_ENTRY,
                             "cluster %s: name and engine must be names, curve 64 hex digits", id);
    }
    cluster->sign = parse_key(words[2] + strlen(keys[2]), error);
    if (cluster->sign == NULL) {
        sl_prefix(error, "cluster %s", id);
        return NULL;
    }
    if (!parse_labels(cluster, words[4] + strlen(keys[4]), error)) {
        return NULL;
    }
    return g_steal_pointer(&cluster);
}

static char *format_labels(GHashTable *labels)
{
    g_autoptr(GPtrArray) pairs = g_ptr_array_new_with_free_func(g_free);
    GHashTableIter iter;
    gpointer key = NULL;
    gpointer value = NULL;
    if (labels != NULL) {
        g_hash_table_iter_init(&iter, labels);
        while (g_hash_table_iter_next(&iter, &key, &value)) {
            if (!is_built_in_label(key)) {
                g_ptr_array_add(pairs, g_strdup(key));
            }
        }
    }
    g_ptr_array_sort(pairs, sl_text_compare);
    GString *text = g_string_new(pairs->len == 0 ? "-" : "");
    for (guint i = 0; i < pairs->len; i++) {
        g_string_append_printf(text, "%s%s=%s", i > 0 ? "," : "", (char *)pairs->pdata[i],
                               (char *)g_hash_table_lookup(labels, pairs->pdata[i]));
    }
    return g_string_free(text, FALSE);
}

char *sl_cluster_format(const SlCluster *cluster)
{
    g_autofree char *labels = format_labels(cluster->labels);
    const char *blob = strchr(cluster->sign->line, ' ');
    return g_strdup_printf("name=%s engine=%s sign=%s curve=%s labels=%s", cluster->name,
                           cluster->engine, blob + 1, cluster->curve, labels);
}

SlCluster *sl_cluster_copy(const SlCluster *cluster)
{
    SlCluster *copy = g_new0(SlCluster, 1);
    copy->id = g_strdup(cluster->id);
    copy->name = g_strdup(cluster->name);
    copy->engine = g_strdup(cluster->engine);
    copy->curve = g_strdup(cluster->curve);
    copy->sign = sl_public_key_copy(cluster->sign);
    copy->labels = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    GHashTableIter iter;
    gpointer key = NULL;
    gpointer value = NULL;
    g_hash_table_iter_init(&iter, cluster->labels);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        g_hash_table_insert(copy->labels, g_strdup(key), g_strdup(value));
    }
    return copy;
}
