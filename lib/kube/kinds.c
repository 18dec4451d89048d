/* kinds.c - reads aggregated discovery into a table by group, version and kind. Pure.
 *
 * The table never forgets by itself: what a stale version had before stays until the version is
 * listed as current again. */
#include "kube/kinds.h"

#include <string.h>

#define WORD_MAX 253
#define SUBRESOURCES_MAX 64

struct SlKubeKinds {
    GHashTable *kinds; /* "group/version/kind" -> SlKubeKind* */
    GHashTable *stale; /* "group/version", as a set */
};

static void free_kind(gpointer data)
{
    SlKubeKind *kind = data;
    g_free(kind->group);
    g_free(kind->version);
    g_free(kind->kind);
    g_free(kind->plural);
    g_strfreev(kind->subresources);
    g_free(kind);
}

SlKubeKinds *sl_kube_kinds_new(void)
{
    SlKubeKinds *kinds = g_new0(SlKubeKinds, 1);
    kinds->kinds = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free_kind);
    kinds->stale = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    return kinds;
}

void sl_kube_kinds_free(SlKubeKinds *kinds)
{
    if (kinds != NULL) {
        g_hash_table_unref(kinds->kinds);
        g_hash_table_unref(kinds->stale);
        g_free(kinds);
    }
}

unsigned sl_kube_kinds_count(const SlKubeKinds *kinds)
{
    return g_hash_table_size(kinds->kinds);
}

/* ---- reading ---- */

/* A word that may stand in a path and in a key of the table. */
static bool is_word(const char *text)
{
    size_t len = text != NULL ? strlen(text) : 0;
    for (size_t i = 0; i < len; i++) {
        if (!g_ascii_isalnum(text[i]) && strchr("-._", text[i]) == NULL) {
            return false;
        }
    }
    return len > 0 && len <= WORD_MAX && text[0] != '.';
}

static unsigned verbs_of(const json_t *resource)
{
    static const struct {
        const char *name;
        SlKubeVerb verb;
    } names[] = {
        {"get", SL_KUBE_GET},       {"list", SL_KUBE_LIST},     {"watch", SL_KUBE_WATCH},
        {"create", SL_KUBE_CREATE}, {"update", SL_KUBE_UPDATE}, {"patch", SL_KUBE_PATCH},
        {"delete", SL_KUBE_DELETE},
    };
    unsigned verbs = 0;
    size_t i = 0;
    const json_t *verb = NULL;
    json_array_foreach (sl_json_at(resource, "verbs"), i, verb) {
        for (size_t n = 0; n < G_N_ELEMENTS(names); n++) {
            verbs |= g_strcmp0(json_string_value(verb), names[n].name) == 0 ? names[n].verb : 0u;
        }
    }
    return verbs;
}

static char **subresources_of(const json_t *resource)
{
    GPtrArray *names = g_ptr_array_new();
    size_t i = 0;
    const json_t *sub = NULL;
    json_array_foreach (sl_json_at(resource, "subresources"), i, sub) {
        const char *name = sl_json_str(sub, "subresource");
        if (is_word(name) && names->len < SUBRESOURCES_MAX) {
            g_ptr_array_add(names, g_strdup(name));
        }
    }
    g_ptr_array_add(names, NULL);
    return (char **)g_ptr_array_free(names, FALSE);
}

static bool add_kind(SlKubeKinds *kinds, SlKubeKind *kind, GError **error)
{
    char *key = g_strdup_printf("%s/%s/%s", kind->group, kind->version, kind->kind);
    g_hash_table_insert(kinds->kinds, key, kind);
    return g_hash_table_size(kinds->kinds) <= SL_KUBE_KINDS_MAX ||
           sl_throw(error, SLU_LIMIT, "discovery: more than %d kinds", SL_KUBE_KINDS_MAX);
}

/* A resource without a kind of its own only holds subresources; one of another group's kind is no way
 * to that kind. An API server leaves the group empty where it is the list's own. */
static bool add_resource(SlKubeKinds *kinds, const char *group, const char *version,
                         const json_t *resource, GError **error)
{
    const char *name = sl_json_str(resource, "responseKind.kind");
    const char *plural = sl_json_str(resource, "resource");
    const char *of = sl_json_str_or(resource, "responseKind.group", "");
    if (!is_word(name) || !is_word(plural) || (of[0] != '\0' && strcmp(of, group) != 0)) {
        return true;
    }
    SlKubeKind *kind = g_new0(SlKubeKind, 1);
    *kind = (SlKubeKind){
        .group = g_strdup(group),
        .version = g_strdup(version),
        .kind = g_strdup(name),
        .plural = g_strdup(plural),
        .namespaced = strcmp(sl_json_str_or(resource, "scope", ""), "Namespaced") == 0,
        .verbs = verbs_of(resource),
        .subresources = subresources_of(resource),
    };
    return add_kind(kinds, kind, error);
}

static SlKubeKind *copy_kind(const SlKubeKind *kind)
{
    SlKubeKind *copy = g_new0(SlKubeKind, 1);
    *copy = (SlKubeKind){
        .group = g_strdup(kind->group),
        .version = g_strdup(kind->version),
        .kind = g_strdup(kind->kind),
        .plural = g_strdup(kind->plural),
        .namespaced = kind->namespaced,
        .verbs = kind->verbs,
        .subresources = g_strdupv(kind->subresources),
    };
    return copy;
}

static bool keep_stale(SlKubeKinds *kinds, const char *group, const char *version,
                       const SlKubeKinds *before, GError **error)
{
    g_hash_table_add(kinds->stale, g_strdup_printf("%s/%s", group, version));
    if (before == NULL) {
        return true;
    }
    GHashTableIter iter;
    gpointer key, value;
    g_hash_table_iter_init(&iter, before->kinds);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        const SlKubeKind *kind = value;
        if (strcmp(kind->group, group) == 0 && strcmp(kind->version, version) == 0 &&
            !g_hash_table_contains(kinds->kinds, key) && !add_kind(kinds, copy_kind(kind), error)) {
            return false;
        }
    }
    return true;
}

static bool add_version(SlKubeKinds *kinds, const char *group, const json_t *version,
                        const SlKubeKinds *before, GError **error)
{
    const char *name = sl_json_str(version, "version");
    if (!is_word(name)) {
        return sl_throw(error, SLU_KUBE_ANSWER,
                        "discovery: group \"%s\" has a version without name", group);
    }
    size_t i = 0;
    const json_t *resource = NULL;
    json_array_foreach (sl_json_at(version, "resources"), i, resource) {
        if (!add_resource(kinds, group, name, resource, error)) {
            return false;
        }
    }
    return strcmp(sl_json_str_or(version, "freshness", "Current"), "Current") == 0 ||
           keep_stale(kinds, group, name, before, error);
}

bool sl_kube_kinds_add(SlKubeKinds *kinds, const json_t *list, const SlKubeKinds *before,
                       GError **error)
{
    if (g_strcmp0(sl_json_str(list, "kind"), "APIGroupDiscoveryList") != 0) {
        return sl_throw(error, SLU_KUBE_DISCOVERY,
                        "discovery: the API server does not list all kinds at once");
    }
    size_t i = 0, n = 0;
    const json_t *group = NULL, *version = NULL;
    json_array_foreach (sl_json_at(list, "items"), i, group) {
        const char *name = sl_json_str_or(group, "metadata.name", "");
        if (name[0] != '\0' && !is_word(name)) {
            return sl_throw(error, SLU_KUBE_ANSWER, "discovery: group %zu has no plain name", i);
        }
        json_array_foreach (sl_json_at(group, "versions"), n, version) {
            if (!add_version(kinds, name, version, before, error)) {
                return false;
            }
        }
    }
    return true;
}

/* ---- asking ---- */

static SlKubeFound find_any(const SlKubeKinds *kinds, const char *group, const char *kind,
                            const SlKubeKind **ret_kind)
{
    g_autofree char *prefix = g_strdup_printf("%s/", group);
    GHashTableIter iter;
    gpointer key, value;
    g_hash_table_iter_init(&iter, kinds->kinds);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const SlKubeKind *each = value;
        if (strcmp(each->group, group) == 0 && strcmp(each->kind, kind) == 0) {
            *ret_kind = each;
            return SL_KUBE_PRESENT;
        }
    }
    g_hash_table_iter_init(&iter, kinds->stale);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        if (g_str_has_prefix(key, prefix)) {
            return SL_KUBE_UNKNOWN;
        }
    }
    return SL_KUBE_ABSENT;
}

SlKubeFound sl_kube_kinds_find(const SlKubeKinds *kinds, const char *group, const char *version,
                               const char *kind, const SlKubeKind **ret_kind)
{
    if (version == NULL) {
        return find_any(kinds, group, kind, ret_kind);
    }
    g_autofree char *gv = g_strdup_printf("%s/%s", group, version);
    g_autofree char *key = g_strdup_printf("%s/%s", gv, kind);
    const SlKubeKind *found = g_hash_table_lookup(kinds->kinds, key);
    if (found != NULL) {
        *ret_kind = found;
        return SL_KUBE_PRESENT;
    }
    return g_hash_table_contains(kinds->stale, gv) ? SL_KUBE_UNKNOWN : SL_KUBE_ABSENT;
}

bool sl_kube_kind_has(const SlKubeKind *kind, const char *subresource)
{
    return g_strv_contains((const char *const *)kind->subresources, subresource);
}

static bool add_part(GString *path, const char *part, GError **error)
{
    if (part[0] == '\0' || part[0] == '.' || strlen(part) > WORD_MAX ||
        strpbrk(part, "/%\\") != NULL) {
        return sl_throw(error, SLU_KUBE_PATH, "a name is empty, too long, or can't be in a path");
    }
    g_string_append_c(path, '/');
    g_string_append_uri_escaped(path, part, ":", false);
    return true;
}

char *sl_kube_path(const SlKubeKind *kind, const char *namespace_, const char *name,
                   const char *subresource, GError **error)
{
    bool core = kind->group[0] == '\0';
    g_autoptr(GString) path = g_string_new(core ? "/api" : "/apis/");
    g_string_append_printf(path, "%s/%s", kind->group, kind->version);
    if (kind->namespaced && namespace_ != NULL) {
        g_string_append(path, "/namespaces");
        if (!add_part(path, namespace_, error)) {
            return NULL;
        }
    }
    if (!add_part(path, kind->plural, error) || (name != NULL && !add_part(path, name, error)) ||
        (subresource != NULL && !add_part(path, subresource, error))) {
        return NULL;
    }
    return g_string_free(g_steal_pointer(&path), FALSE);
}
