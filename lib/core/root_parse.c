/* root_parse.c - from the text of a root to its struct; every mistake is collected, not only the
 * first.
 *
 * The order of words in a line is fixed, so that the writer gives back the same text. */
#include "core/root_private.h"

#include "base/text.h"

#include <stdarg.h>
#include <string.h>

#define GLOB_MAX 128
#define PROBLEMS_BYTES_MAX                                                                         \
    6000 /* enough for any mistake by hand; a hostile root makes no longer message */

static const char *const profile_names[SL_N_PROFILES] = {
    [SL_PROFILE_SOLO] = "solo",
    [SL_PROFILE_TEAM] = "team",
    [SL_PROFILE_REGULATED] = "regulated",
};

const char *sl_profile_name(SlProfile profile)
{
    return (unsigned)profile < SL_N_PROFILES ? profile_names[profile] : "unknown";
}

bool sl_profile_parse(const char *text, SlProfile *ret_profile)
{
    for (int i = 0; text != NULL && i < SL_N_PROFILES; i++) {
        if (strcmp(profile_names[i], text) == 0) {
            *ret_profile = (SlProfile)i;
            return true;
        }
    }
    return false;
}

void sl_root_problem(GString *problems, const char *format, ...)
{
    if (problems->len > PROBLEMS_BYTES_MAX) {
        return;
    }
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    g_autofree char *shown = sl_escape_for_people(text, 400);
    g_string_append_printf(problems, "%s%s", problems->len > 0 ? "\n" : "", shown);
}

/* Value of "name=value" if @word is that; NULL if not, or if it is empty. */
static const char *option(const char *word, const char *name)
{
    size_t len = strlen(name);
    bool is =
        word != NULL && strncmp(word, name, len) == 0 && word[len] == '=' && word[len + 1] != '\0';
    return is ? word + len + 1 : NULL;
}

static bool is_glob(const char *text, const char *more)
{
    if (text == NULL || *text == '\0' || strlen(text) > GLOB_MAX) {
        return false;
    }
    for (const char *at = text; *at != '\0'; at++) {
        if (!g_ascii_islower(*at) && !g_ascii_isdigit(*at) && strchr("-*?", *at) == NULL &&
            strchr(more, *at) == NULL) {
            return false;
        }
    }
    return true;
}

static char **glob_list(const char *text, const char *more)
{
    g_auto(GStrv) globs = g_strsplit(text != NULL ? text : "", ",", -1);
    for (size_t i = 0; globs[i] != NULL; i++) {
        if (!is_glob(globs[i], more)) {
            return NULL;
        }
    }
    return globs[0] != NULL ? g_steal_pointer(&globs) : NULL;
}

/* "<person> <type> <base64>" */
static SlPublicKey *person_key(const char *value, char **ret_person, GString *problems)
{
    const char *space = strchr(value, ' ');
    g_autofree char *person = g_strndup(value, space != NULL ? (size_t)(space - value) : 0);
    g_autoptr(GError) error = NULL;
    g_autoptr(SlPublicKey) key = space != NULL ? sl_public_key_parse(space + 1, &error) : NULL;
    if (!sl_is_name(person) || key == NULL || strcmp(key->line, space + 1) != 0) {
        sl_root_problem(problems, "\"%s\" is not `<person> <key without comment>`%s%s", value,
                        error != NULL ? ": " : "", error != NULL ? error->message : "");
        return NULL;
    }
    *ret_person = g_steal_pointer(&person);
    return g_steal_pointer(&key);
}

static void parse_root_key(SlRoot *root, const char *value, GString *problems)
{
    g_autofree char *person = NULL;
    SlPublicKey *key = person_key(value, &person, problems);
    if (key == NULL) {
        return;
    }
    SlRootKey *root_key = g_new0(SlRootKey, 1);
    root_key->person = g_steal_pointer(&person);
    root_key->key = key;
    g_ptr_array_add(root->root_keys, root_key);
}

static bool is_email(const char *text)
{
    const char *at = strchr(text, '@');
    return at != NULL && at != text && at[1] != '\0' && strchr(at + 1, '@') == NULL &&
           strlen(text) <= 254;
}

static void parse_person(SlRoot *root, const char *value, GString *problems)
{
    g_auto(GStrv) words = g_strsplit(value, " ", -1);
    bool good = sl_is_name(words[0]) && words[1] != NULL;
    for (size_t i = 1; good && words[i] != NULL; i++) {
        good = is_email(words[i]);
        if (good && sl_root_person_of_email(root, words[i]) != NULL) {
            sl_root_problem(problems, "person %s: %s is another person's e-mail", words[0],
                            words[i]);
        }
    }
    if (!good) {
        sl_root_problem(problems, "person \"%s\" is not `<name> <e-mail>...`", value);
        return;
    }
    if (sl_root_person(root, words[0]) != NULL) {
        sl_root_problem(problems, "person %s is given twice", words[0]);
        return;
    }
    SlPerson *person = g_new0(SlPerson, 1);
    person->name = g_strdup(words[0]);
    person->emails = g_strdupv(words + 1);
    person->keys = g_ptr_array_new_with_free_func((GDestroyNotify)sl_public_key_free);
    g_ptr_array_add(root->people, person);
}

static void parse_key(SlRoot *root, const char *value, GString *problems)
{
    g_autofree char *name = NULL;
    g_autoptr(SlPublicKey) key = person_key(value, &name, problems);
    if (key == NULL) {
        return;
    }
    const SlPerson *person = sl_root_person(root, name);
    if (person == NULL) {
        sl_root_problem(problems, "key of %s: there is no such person", name);
        return;
    }
    g_ptr_array_add(person->keys, g_steal_pointer(&key));
}

static void parse_environment(SlRoot *root, const char *value, GString *problems)
{
    g_auto(GStrv) words = g_strsplit(value, " ", -1);
    SlRootEnv env = {.name = words[0]};
    g_autoptr(GError) error = NULL;
    bool shape = g_strv_length(words) == 4 && sl_is_name(words[0]) &&
                 sl_parse_uint64(option(words[1], "epoch"), &env.epoch) && env.epoch > 0;
    if (!shape ||
        !sl_parse_duration(option(words[2], "head-lifetime"), &env.head_lifetime_us, &error) ||
        !sl_parse_duration(option(words[3], "activation-window"), &env.activation_window_us,
                           &error)) {
        sl_root_problem(problems,
                        "environment \"%s\" is not `<name> epoch=<from 1> head-lifetime=<15m> "
                        "activation-window=<7d>`%s%s",
                        value, error != NULL ? ": " : "", error != NULL ? error->message : "");
        return;
    }
    if (sl_root_env(root, env.name) != NULL) {
        sl_root_problem(problems, "environment %s is given twice", env.name);
        return;
    }
    env.name = g_strdup(env.name);
    g_ptr_array_add(root->environments, g_memdup2(&env, sizeof env));
}

static bool parse_exclude(const char *text, SlRole *role)
{
    role->exclude_author = strcmp(text, "author") == 0 || strcmp(text, "author,requester") == 0;
    role->exclude_requester =
        strcmp(text, "requester") == 0 || strcmp(text, "author,requester") == 0;
    return role->exclude_author || role->exclude_requester;
}

static void parse_role(SlRoot *root, const char *value, GString *problems)
{
    g_auto(GStrv) words = g_strsplit(value, " ", -1);
    SlRole role = {0};
    uint64_t threshold = 0;
    bool good = g_strv_length(words) >= 4 && is_glob(option(words[0], "env"), "") &&
                is_glob(option(words[1], "app"), "") &&
                sl_act_parse(option(words[2], "act"), &role.act) &&
                sl_parse_uint64(option(words[3], "threshold"), &threshold) &&
                threshold <= SL_STATEMENT_SIGS_MAX;
    size_t next = 4;
    if (good && option(words[4], "exclude") != NULL) {
        good = parse_exclude(option(words[4], "exclude"), &role);
        next = 5;
    }
    for (size_t i = next; good && words[i] != NULL; i++) {
        good = sl_is_name(words[i]);
    }
    if (!good) {
        sl_root_problem(problems,
                        "role \"%s\" is not `env=<glob> app=<glob> act=<act> threshold=<0 to %d> "
                        "[exclude=author,requester] [<person>...]`",
                        value, SL_STATEMENT_SIGS_MAX);
        return;
    }
    role.env = g_strdup(option(words[0], "env"));
    role.app = g_strdup(option(words[1], "app"));
    role.threshold = (unsigned)threshold;
    role.people = g_strdupv(words + next);
    g_ptr_array_add(root->roles, g_memdup2(&role, sizeof role));
}

static void parse_policy(SlRoot *root, const char *value, GString *problems)
{
    static const char kind_chars[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ./";
    g_auto(GStrv) words = g_strsplit(value, " ", -1);
    guint count = g_strv_length(words);
    bool good = (count == 4 || count == 5) && is_glob(option(words[0], "env"), "") &&
                is_glob(option(words[1], "app"), "");
    g_auto(GStrv) kinds = good ? glob_list(option(words[2], "kinds"), kind_chars) : NULL;
    g_auto(GStrv) namespaces = good ? glob_list(option(words[3], "namespaces"), "") : NULL;
    g_auto(GStrv) privileged =
        good && count == 5 ? glob_list(option(words[4], "privileged"), kind_chars) : NULL;
    if (kinds == NULL || namespaces == NULL || (count == 5 && privileged == NULL)) {
        sl_root_problem(problems,
                        "policy \"%s\" is not `env=<glob> app=<glob> kinds=<glob,...> "
                        "namespaces=<glob,...> [privileged=<glob,...>]`",
                        value);
        return;
    }
    SlObjectPolicy *policy = g_new0(SlObjectPolicy, 1);
    policy->env = g_strdup(option(words[0], "env"));
    policy->app = g_strdup(option(words[1], "app"));
    policy->kinds = g_steal_pointer(&kinds);
    policy->namespaces = g_steal_pointer(&namespaces);
    policy->privileged = g_steal_pointer(&privileged);
    g_ptr_array_add(root->policies, policy);
}

static void parse_online_key(SlRoot *root, const char *value, GString *problems)
{
    (void)problems; /* statements.def says KEY: it was parsed once already */
    g_ptr_array_add(root->online_keys, sl_public_key_parse(value, NULL));
}

static void parse_revoked(SlRoot *root, const char *value, GString *problems)
{
    (void)problems;
    g_ptr_array_add(root->revoked, sl_public_key_parse(value, NULL));
}

static const struct {
    const char *key;
    size_t max;
    void (*parse)(SlRoot *root, const char *value, GString *problems);
} lists[] = {
    /* people before their keys */
    {"person", SL_ROOT_PEOPLE_MAX, parse_person},
    {"root-key", SL_ROOT_KEYS_MAX, parse_root_key},
    {"online-key", SL_ROOT_ONLINE_KEYS_MAX, parse_online_key},
    {"key", SL_ROOT_KEYS_MAX, parse_key},
    {"revoked", SL_ROOT_KEYS_MAX, parse_revoked},
    {"environment", SL_ROOT_ENVIRONMENTS_MAX, parse_environment},
    {"role", SL_ROOT_ROLES_MAX, parse_role},
    {"policy", SL_ROOT_POLICIES_MAX, parse_policy},
};

static void parse_lists(SlRoot *root, const SlStatement *statement, GString *problems)
{
    for (size_t i = 0; i < G_N_ELEMENTS(lists); i++) {
        const char *const *values = sl_statement_list(statement, lists[i].key);
        for (size_t n = 0; values[n] != NULL; n++) {
            if (n == lists[i].max) {
                sl_root_problem(problems, "more than %zu lines `%s`", lists[i].max, lists[i].key);
                break;
            }
            lists[i].parse(root, values[n], problems);
        }
    }
}

SlRoot *sl_root_parse(GBytes *text, GError **error)
{
    size_t len = 0;
    const void *bytes = g_bytes_get_data(text, &len);
    g_autoptr(SlStatement) statement = sl_statement_parse(SL_STATEMENT_ROOT, bytes, len, error);
    if (statement == NULL) {
        return NULL;
    }
    g_autoptr(SlRoot) root = sl_root_alloc();
    g_autoptr(GString) problems = g_string_new(NULL);
    root->fleet = g_strdup(sl_statement_get(statement, "fleet"));
    root->version = sl_statement_uint(statement, "version", 0);
    root->expires_us = sl_statement_time(statement, "expires", 0);
    uint64_t threshold = sl_statement_uint(statement, "root-threshold", 0);
    root->root_threshold = (unsigned)MIN(threshold, UINT_MAX);
    if (root->version == 0) {
        sl_root_problem(problems, "version must be 1 or more");
    }
    if (!sl_profile_parse(sl_statement_get(statement, "profile"), &root->profile)) {
        sl_root_problem(problems, "profile must be solo, team or regulated");
    }
    parse_lists(root, statement, problems);
    if (problems->len == 0) { /* rules about the whole would only repeat what lines said */
        sl_root_check(root, problems);
    }
    if (problems->len > 0) {
        return sl_throw_null(error, SLU_ROOT_INVALID, "root is not valid:\n%s", problems->str);
    }
    return g_steal_pointer(&root);
}
