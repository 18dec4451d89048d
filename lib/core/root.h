/* root.h - the fleet's root of trust: who may do what where. A statement (kind root), versions N
 * -> N+1. Pure.
 *
 *   fleet: <64 hex>              version: 1            profile: solo | team | regulated      expires: <time>
 *   root-threshold: 1            root-key: <person> <key>      (repeated)
 *   online-key: <key>            (repeated)
 *   person: <name> <email>...    key: <person> <key>           (repeated)
 *   revoked: <key>               (repeated, optional; counts nowhere)
 *   environment: <name> epoch=1 head-lifetime=15m activation-window=7d
 *   role: env=<name|glob> app=<glob> act=<act> threshold=<n> [exclude=author,requester] [<person>...]
 *   policy: env=<name|glob> app=<glob> kinds=<glob,...> namespaces=<glob,...> [privileged=<glob,...>]
 *
 * Times are RFC 3339 UTC, keys are OpenSSH lines without comment. */
#pragma once
#include "core/statement.h"
#include "sluice/types.h"

typedef enum { SL_PROFILE_SOLO, SL_PROFILE_TEAM, SL_PROFILE_REGULATED, SL_N_PROFILES } SlProfile;

typedef struct {
    char *name;
    char **emails;   /* NULL-terminated */
    GPtrArray *keys; /* of SlPublicKey*; a person counts once however many keys */
} SlPerson;

bool sl_profile_parse(const char *text, SlProfile *ret_profile); /* "solo", "team", "regulated" */

/* A person's right to sign roots with this key. */
typedef struct {
    char *person;
    SlPublicKey *key;
} SlRootKey;

typedef struct {
    char *env; /* glob */
    char *app; /* glob */
    SlAct act;
    unsigned threshold;
    bool exclude_author, exclude_requester;
    char **people; /* NULL-terminated */
} SlRole;

typedef struct {
    char *name;
    uint64_t epoch;           /* from 1; raised by root only */
    int64_t head_lifetime_us; /* a head expires this long after it was issued */
    /* a promotion may first be activated this long after signing was asked */
    int64_t activation_window_us;
} SlRootEnv;

typedef struct {
    char *env, *app; /* globs */
    /* globs over "group/Kind" and namespace; NULL-terminated */
    char **kinds, **namespaces, **privileged;
} SlObjectPolicy;

typedef struct {
    char *fleet;
    uint64_t version;
    SlProfile profile;
    int64_t expires_us;
    unsigned root_threshold;
    GPtrArray *root_keys;    /* of SlRootKey*; a person counts once here too */
    GPtrArray *online_keys;  /* of SlPublicKey* */
    GPtrArray *people;       /* of SlPerson* */
    GPtrArray *revoked;      /* of SlPublicKey* */
    GPtrArray *environments; /* of SlRootEnv* */
    GPtrArray *roles;        /* of SlRole* */
    GPtrArray *policies;     /* of SlObjectPolicy* */
} SlRoot;

/* An empty root to be filled by hand (tests, `sluice root edit`). */
SlRoot *sl_root_alloc(void);

/* Most of each list in one root: beyond these a fleet needs globs, not lines. */
#define SL_ROOT_PEOPLE_MAX 512
#define SL_ROOT_KEYS_MAX 1024 /* root, personal and revoked keys, each */
#define SL_ROOT_ONLINE_KEYS_MAX 16
#define SL_ROOT_ENVIRONMENTS_MAX 64
#define SL_ROOT_ROLES_MAX 1024
#define SL_ROOT_POLICIES_MAX 256

/* Parses and checks the text: refuses threshold > people, an online key in any role or person, one
 * key in two people, unknown people, a threshold of 0 for any act but pause and stop-run where
 * promote is not 0, empty roles for an environment with none, act registry/redeploy/... as design
 * section 6 says. Does not look at signatures. Errors: STATEMENT_FORMAT, ROOT_INVALID (all that is
 * wrong, one per line). (transfer full) */
SL_MUST_USE SlRoot *sl_root_parse(GBytes *text, GError **error);
void sl_root_free(SlRoot *root);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SlRoot, sl_root_free)

/* Version 1: signed by its own root threshold. @expected_text_digest (nullable) pins it (join
 * token). */
SL_MUST_USE SlRoot *sl_root_accept_first(const SlSigned *s, const char *expected_text_digest,
                                         GError **error);
/* Step: same fleet, version exactly +1, both thresholds, no epoch lowered, no environment left out
 * (an environment that came back would start at a lower epoch). Expiry is not looked at here.
 * Errors: ROOT_STEP, and as parse. */
SL_MUST_USE SlRoot *sl_root_accept_next(const SlRoot *current, const SlSigned *s, GError **error);

/* NULL if not in root */
const SlRootEnv *sl_root_env(const SlRoot *root, const char *env);
const SlPerson *sl_root_person(const SlRoot *root, const char *name); /* NULL */
/* NULL; also if revoked */
const SlPerson *sl_root_person_of_key(const SlRoot *root, const SlPublicKey *key);
const SlPerson *sl_root_person_of_email(const SlRoot *root, const char *email); /* NULL */
bool sl_root_person_can_sign(const SlRoot *root, const SlPerson *person); /* has a key in force */
bool sl_root_is_revoked(const SlRoot *root, const SlPublicKey *key);
/* false if revoked */
bool sl_root_is_online_key(const SlRoot *root, const SlPublicKey *key);

/* Writer for `sluice root ...`: the whole text from a struct. (transfer full) */
SL_MUST_USE GBytes *sl_root_format(const SlRoot *root, GError **error);
/* A new root version 1 of a profile: one person, environments with the profile's roles. solo: dev
 * and test threshold 0 for promote & co, every other environment 1; excludes nobody. team: dev 0,
 * test 1, others 2 where there are two people, exclude requester. regulated: test 1, others 2,
 * exclude author and requester. @envs in topological order, NULL-terminated; the last ones guarded
 * most. (transfer full) */
typedef struct {
    const char *fleet;
    SlProfile profile;
    const char *person, *email;
    const SlPublicKey *person_key, *online_key;
    const char *const *envs;
    int64_t now_us; /* expires a year later */
} SlRootNew;
SL_MUST_USE SlRoot *sl_root_new(const SlRootNew *how, GError **error);
