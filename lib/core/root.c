/* root.c - the fleet's root of trust: accepting versions, and who is who in one.
 *
 * Signatures are judged before a new version's meaning is. Must never let a version in that its
 * predecessor's holders did not sign. Reading is root_parse.c, cross-checks root_check.c, writing
 * root_format.c, profiles root_new.c. */
#include "core/root.h"

#include <inttypes.h>
#include <string.h>

static void person_free(gpointer data)
{
    SlPerson *person = data;
    g_free(person->name);
    g_strfreev(person->emails);
    g_ptr_array_unref(person->keys);
    g_free(person);
}

static void root_key_free(gpointer data)
{
    SlRootKey *root_key = data;
    g_free(root_key->person);
    sl_public_key_free(root_key->key);
    g_free(root_key);
}

static void role_free(gpointer data)
{
    SlRole *role = data;
    g_free(role->env);
    g_free(role->app);
    g_strfreev(role->people);
    g_free(role);
}

static void env_free(gpointer data)
{
    SlRootEnv *env = data;
    g_free(env->name);
    g_free(env);
}

static void policy_free(gpointer data)
{
    SlObjectPolicy *policy = data;
    g_free(policy->env);
    g_free(policy->app);
    g_strfreev(policy->kinds);
    g_strfreev(policy->namespaces);
    g_strfreev(policy->privileged);
    g_free(policy);
}

SlRoot *sl_root_alloc(void)
{
    SlRoot *root = g_new0(SlRoot, 1);
    root->root_keys = g_ptr_array_new_with_free_func(root_key_free);
    root->online_keys = g_ptr_array_new_with_free_func((GDestroyNotify)sl_public_key_free);
    root->people = g_ptr_array_new_with_free_func(person_free);
    root->revoked = g_ptr_array_new_with_free_func((GDestroyNotify)sl_public_key_free);
    root->environments = g_ptr_array_new_with_free_func(env_free);
    root->roles = g_ptr_array_new_with_free_func(role_free);
    root->policies = g_ptr_array_new_with_free_func(policy_free);
    return root;
}

void sl_root_free(SlRoot *root)
{
    if (root == NULL) {
        return;
    }
    g_free(root->fleet);
    g_ptr_array_unref(root->root_keys);
    g_ptr_array_unref(root->online_keys);
    g_ptr_array_unref(root->people);
    g_ptr_array_unref(root->revoked);
    g_ptr_array_unref(root->environments);
    g_ptr_array_unref(root->roles);
    g_ptr_array_unref(root->policies);
    g_free(root);
}

const SlRootEnv *sl_root_env(const SlRoot *root, const char *env)
{
    for (guint i = 0; env != NULL && i < root->environments->len; i++) {
        const SlRootEnv *at = g_ptr_array_index(root->environments, i);
        if (strcmp(at->name, env) == 0) {
            return at;
        }
    }
    return NULL;
}

const SlPerson *sl_root_person(const SlRoot *root, const char *name)
{
    for (guint i = 0; name != NULL && i < root->people->len; i++) {
        const SlPerson *person = g_ptr_array_index(root->people, i);
        if (strcmp(person->name, name) == 0) {
            return person;
        }
    }
    return NULL;
}

bool sl_root_is_revoked(const SlRoot *root, const SlPublicKey *key)
{
    return sl_public_key_listed(root->revoked, key);
}

bool sl_root_person_can_sign(const SlRoot *root, const SlPerson *person)
{
    for (guint i = 0; i < person->keys->len; i++) {
        if (!sl_root_is_revoked(root, g_ptr_array_index(person->keys, i))) {
            return true;
        }
    }
    return false;
}

const SlPerson *sl_root_person_of_key(const SlRoot *root, const SlPublicKey *key)
{
    if (sl_root_is_revoked(root, key)) {
        return NULL;
    }
    for (guint i = 0; i < root->people->len; i++) {
        const SlPerson *person = g_ptr_array_index(root->people, i);
        if (sl_public_key_listed(person->keys, key)) {
            return person;
        }
    }
    return NULL;
}

const SlPerson *sl_root_person_of_email(const SlRoot *root, const char *email)
{
    for (guint i = 0; email != NULL && i < root->people->len; i++) {
        const SlPerson *person = g_ptr_array_index(root->people, i);
        for (size_t j = 0; person->emails[j] != NULL; j++) {
            if (g_ascii_strcasecmp(person->emails[j], email) == 0) {
                return person;
            }
        }
    }
    return NULL;
}

bool sl_root_is_online_key(const SlRoot *root, const SlPublicKey *key)
{
    return sl_public_key_listed(root->online_keys, key) && !sl_root_is_revoked(root, key);
}

/* How many distinct people of @root's root keys are among the signers. */
static unsigned count_holders(const SlRoot *root, const GPtrArray *signers)
{
    g_autoptr(GHashTable) people = g_hash_table_new(g_str_hash, g_str_equal);
    for (guint i = 0; i < root->root_keys->len; i++) {
        const SlRootKey *root_key = g_ptr_array_index(root->root_keys, i);
        if (sl_public_key_listed(signers, root_key->key) &&
            !sl_root_is_revoked(root, root_key->key)) {
            g_hash_table_add(people, root_key->person);
        }
    }
    return g_hash_table_size(people);
}

static bool check_holders(const SlRoot *root, const SlSigned *s, const char *whose, GError **error)
{
    g_autofree char *why = NULL;
    g_autoptr(GPtrArray) signers = sl_signed_signers(s, SL_STATEMENT_ROOT, &why);
    unsigned count = count_holders(root, signers);
    if (count >= root->root_threshold) {
        return true;
    }
    return sl_throw(error, SLU_ROOT_STEP,
                    "root: signed by %u of %u people who hold root keys of %s version %" PRIu64
                    "%s%s",
                    count, root->root_threshold, whose, root->version, why != NULL ? "; " : "",
                    why != NULL ? why : "");
}

SlRoot *sl_root_accept_first(const SlSigned *s, const char *expected_text_digest, GError **error)
{
    g_autofree char *digest = sl_signed_digest(s);
    if (expected_text_digest != NULL && strcmp(digest, expected_text_digest) != 0) {
        return sl_throw_null(error, SLU_ROOT_STEP, "root: the text has digest %s, but %s is pinned",
                             digest, expected_text_digest);
    }
    g_autoptr(SlRoot) root = sl_root_parse(s->text, error);
    if (root == NULL) {
        return NULL;
    }
    if (root->version != 1) {
        return sl_throw_null(error, SLU_ROOT_STEP,
                             "root: version %" PRIu64 " can't be the first; it must be 1",
                             root->version);
    }
    return check_holders(root, s, "its own", error) ? g_steal_pointer(&root) : NULL;
}

static bool check_environments_kept(const SlRoot *current, const SlRoot *next, GError **error)
{
    for (guint i = 0; i < current->environments->len; i++) {
        const SlRootEnv *before = g_ptr_array_index(current->environments, i);
        const SlRootEnv *after = sl_root_env(next, before->name);
        if (after == NULL) {
            return sl_throw(error, SLU_ROOT_STEP,
                            "root: environment %s is left out; it must stay, with its epoch",
                            before->name);
        }
        if (after->epoch < before->epoch) {
            return sl_throw(error, SLU_ROOT_STEP,
                            "root: environment %s goes back from epoch %" PRIu64 " to %" PRIu64,
                            before->name, before->epoch, after->epoch);
        }
    }
    return true;
}

SlRoot *sl_root_accept_next(const SlRoot *current, const SlSigned *s, GError **error)
{
    if (!check_holders(current, s, "the current", error)) {
        return NULL;
    }
    g_autoptr(SlRoot) next = sl_root_parse(s->text, error);
    if (next == NULL) {
        return NULL;
    }
    if (strcmp(next->fleet, current->fleet) != 0) {
        return sl_throw_null(error, SLU_ROOT_STEP, "root: belongs to another fleet (%s)",
                             next->fleet);
    }
    if (current->version == UINT64_MAX || next->version != current->version + 1) {
        return sl_throw_null(error, SLU_ROOT_STEP,
                             "root: version %" PRIu64 " does not follow version %" PRIu64,
                             next->version, current->version);
    }
    if (!check_holders(next, s, "its own", error) ||
        !check_environments_kept(current, next, error)) {
        return NULL;
    }
    return g_steal_pointer(&next);
}
