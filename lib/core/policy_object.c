/* policy_object.c - may this object be applied here at all? The root's object policy (part of
 * policy.h).
 *
 * Kinds that can widen rights or reach beyond their namespace must be named by the promotion that
 * people sign, also where the root says nothing about objects. */
#include "core/policy.h"

#include "base/text.h"

#include <string.h>

static const char *const privileged_by_default[] = {
    "core/Namespace",
    "core/Node",
    "core/PersistentVolume",
    "core/ServiceAccount",
    "admissionregistration.k8s.io/*",
    "apiextensions.k8s.io/*",
    "apiregistration.k8s.io/*",
    "certificates.k8s.io/*",
    "flowcontrol.apiserver.k8s.io/*",
    "node.k8s.io/*",
    "policy/PodSecurityPolicy",
    "rbac.authorization.k8s.io/*",
    "scheduling.k8s.io/*",
    "storage.k8s.io/*",
    NULL,
};

static bool matches_any(const char *const *globs, const char *text)
{
    for (size_t i = 0; globs != NULL && globs[i] != NULL; i++) {
        if (sl_glob_match(globs[i], text)) {
            return true;
        }
    }
    return false;
}

static bool is_named(const char *const *names, const char *kind)
{
    return names != NULL && g_strv_contains(names, kind);
}

static bool check_line(const SlObjectPolicy *policy, const char *kind, const char *namespace_,
                       const char *const *named, GError **error)
{
    if (!matches_any((const char *const *)policy->kinds, kind)) {
        return sl_throw(error, SLU_OBJECT_POLICY,
                        "%s: policy env=%s app=%s of the root does not allow this kind", kind,
                        policy->env, policy->app);
    }
    if (!matches_any((const char *const *)policy->namespaces, namespace_)) {
        return sl_throw(error, SLU_OBJECT_POLICY,
                        "%s: policy env=%s app=%s of the root does not allow namespace %s", kind,
                        policy->env, policy->app, namespace_);
    }
    const char *const *privileged = policy->privileged != NULL
                                        ? (const char *const *)policy->privileged
                                        : privileged_by_default;
    if (matches_any(privileged, kind) && !is_named(named, kind)) {
        return sl_throw(error, SLU_OBJECT_POLICY,
                        "%s is a privileged kind, and the promotion does not name it", kind);
    }
    return true;
}

bool sl_policy_check_object(const SlRoot *root, const char *env, const char *app, const char *kind,
                            const char *namespace_, const char *const *privileged_by_promotion,
                            GError **error)
{
    const char *place = namespace_ != NULL ? namespace_ : "-";
    bool env_has_policy = false;
    bool found = false;
    for (guint i = 0; i < root->policies->len; i++) {
        const SlObjectPolicy *policy = g_ptr_array_index(root->policies, i);
        if (!sl_glob_match(policy->env, env)) {
            continue;
        }
        env_has_policy = true;
        if (!sl_glob_match(policy->app, app)) {
            continue;
        }
        found = true;
        if (!check_line(policy, kind, place, privileged_by_promotion, error)) {
            return false;
        }
    }
    if (env_has_policy && !found) {
        return sl_throw(error, SLU_OBJECT_POLICY,
                        "%s: no policy of environment %s in the root is for application %s", kind,
                        env, app);
    }
    if (!found && matches_any(privileged_by_default, kind) &&
        !is_named(privileged_by_promotion, kind)) {
        return sl_throw(error, SLU_OBJECT_POLICY,
                        "%s is a privileged kind, and the promotion does not name it", kind);
    }
    return true;
}
