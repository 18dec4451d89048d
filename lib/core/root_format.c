/* root_format.c - the text of a root from its struct. What the loader would refuse is not written.
 */
#include "core/root_private.h"

#include "base/text.h"
#include "sluice/clock.h"

#include <inttypes.h>

/* The longest unit that says it exactly, as sl_parse_duration reads it. */
static char *exact_duration(int64_t us)
{
    static const struct {
        char unit;
        int64_t us;
    } units[] = {{'d', SL_DAY_US}, {'h', SL_HOUR_US}, {'m', SL_MINUTE_US}, {'s', SL_SECOND_US}};
    for (size_t i = 0; i < G_N_ELEMENTS(units); i++) {
        if (us % units[i].us == 0) {
            return g_strdup_printf("%" PRId64 "%c", us / units[i].us, units[i].unit);
        }
    }
    return g_strdup_printf("%" PRId64 "s", us / SL_SECOND_US);
}

static void add_keys(SlStatementWriter *writer, const char *name, const GPtrArray *keys)
{
    for (guint i = 0; i < keys->len; i++) {
        const SlPublicKey *key = g_ptr_array_index(keys, i);
        sl_statement_add(writer, name, key->line);
    }
}

static void add_people(SlStatementWriter *writer, const SlRoot *root)
{
    for (guint i = 0; i < root->people->len; i++) {
        const SlPerson *person = g_ptr_array_index(root->people, i);
        g_autofree char *emails = g_strjoinv(" ", person->emails);
        g_autofree char *value = g_strdup_printf("%s %s", person->name, emails);
        sl_statement_add(writer, "person", value);
    }
    for (guint i = 0; i < root->people->len; i++) {
        const SlPerson *person = g_ptr_array_index(root->people, i);
        for (guint j = 0; j < person->keys->len; j++) {
            const SlPublicKey *key = g_ptr_array_index(person->keys, j);
            g_autofree char *value = g_strdup_printf("%s %s", person->name, key->line);
            sl_statement_add(writer, "key", value);
        }
    }
}

static void add_role(SlStatementWriter *writer, const SlRole *role)
{
    GString *value = g_string_new(NULL);
    g_string_printf(value, "env=%s app=%s act=%s threshold=%u", role->env, role->app,
                    sl_act_name(role->act), role->threshold);
    if (role->exclude_author || role->exclude_requester) {
        g_string_append_printf(value, " exclude=%s%s%s", role->exclude_author ? "author" : "",
                               role->exclude_author && role->exclude_requester ? "," : "",
                               role->exclude_requester ? "requester" : "");
    }
    for (size_t i = 0; role->people != NULL && role->people[i] != NULL; i++) {
        g_string_append_printf(value, " %s", role->people[i]);
    }
    sl_statement_add(writer, "role", value->str);
    g_string_free(value, TRUE);
}

static void add_policy(SlStatementWriter *writer, const SlObjectPolicy *policy)
{
    g_autofree char *kinds = g_strjoinv(",", policy->kinds);
    g_autofree char *namespaces = g_strjoinv(",", policy->namespaces);
    g_autofree char *privileged =
        policy->privileged != NULL ? g_strjoinv(",", policy->privileged) : NULL;
    g_autofree char *value = g_strdup_printf(
        "env=%s app=%s kinds=%s namespaces=%s%s%s", policy->env, policy->app, kinds, namespaces,
        privileged != NULL ? " privileged=" : "", privileged != NULL ? privileged : "");
    sl_statement_add(writer, "policy", value);
}

static void add_environment(SlStatementWriter *writer, const SlRootEnv *env)
{
    g_autofree char *lifetime = exact_duration(env->head_lifetime_us);
    g_autofree char *window = exact_duration(env->activation_window_us);
    g_autofree char *value =
        g_strdup_printf("%s epoch=%" PRIu64 " head-lifetime=%s activation-window=%s", env->name,
                        env->epoch, lifetime, window);
    sl_statement_add(writer, "environment", value);
}

GBytes *sl_root_format(const SlRoot *root, GError **error)
{
    SlStatementWriter *writer = sl_statement_writer_new(SL_STATEMENT_ROOT);
    sl_statement_add(writer, "fleet", root->fleet);
    sl_statement_add_uint(writer, "version", root->version);
    sl_statement_add(writer, "profile", sl_profile_name(root->profile));
    sl_statement_add_time(writer, "expires", root->expires_us);
    sl_statement_add_uint(writer, "root-threshold", root->root_threshold);
    for (guint i = 0; i < root->root_keys->len; i++) {
        const SlRootKey *root_key = g_ptr_array_index(root->root_keys, i);
        g_autofree char *value = g_strdup_printf("%s %s", root_key->person, root_key->key->line);
        sl_statement_add(writer, "root-key", value);
    }
    add_keys(writer, "online-key", root->online_keys);
    add_people(writer, root);
    add_keys(writer, "revoked", root->revoked);
    for (guint i = 0; i < root->environments->len; i++) {
        add_environment(writer, g_ptr_array_index(root->environments, i));
    }
    for (guint i = 0; i < root->roles->len; i++) {
        add_role(writer, g_ptr_array_index(root->roles, i));
    }
    for (guint i = 0; i < root->policies->len; i++) {
        add_policy(writer, g_ptr_array_index(root->policies, i));
    }
    g_autoptr(GBytes) text = sl_statement_finish(writer, error);
    g_autoptr(SlRoot) parsed = text != NULL ? sl_root_parse(text, error) : NULL;
    return parsed != NULL ? g_steal_pointer(&text) : NULL;
}
