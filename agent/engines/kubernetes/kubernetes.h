/* kubernetes.h - parts of the engine `kubernetes`, private to its folder. Everything runs on the loop
 * thread.
 *
 *   things.c   what this agent was told about one object, its operations one after the other
 *   apply.c    apply: look whose it is, server-side apply; adopt
 *   remove.c   remove: whose it is, DELETE with its uid, until it is gone
 *   look.c     what an object in the cluster says: drift, health
 *   watches.c  a watch per kind in use; what it sees goes to the thing
 *
 * The mark (SL_KUBE_MARK) names cluster, application and identity: a copy of an object under another
 * name has a mark that is not its own, and is nobody's. Nothing without its own mark is written
 * (but by force) or deleted. */
#pragma once
#include "agent/engines/queue.h"
#include "base/auto.h"
#include "base/log.h"
#include "core/bundle.h"
#include "core/health/health.h"
#include "core/native.h"
#include "kube/discovery.h"
#include "kube/watch.h"

#define SL_KUBE_MANAGER "sluice"
#define SL_KUBE_MARK SL_API_GROUP "/owner"
#define SL_KUBE_FIGHT 5 /* corrections of one object within SL_KUBE_FIGHT_US: more is a fight */
#define SL_KUBE_FIGHT_US SL_MINUTE_US
#define SL_KUBE_NAMESPACES_MAX 64

typedef struct Thing Thing;
typedef struct KindWatch KindWatch;

struct SlEngine {
    SlLoop *loop;
    SlLog *log;
    const SlClock *clock;
    GBytes *(*blob)(const char *digest, void *user);
    void *blob_user;
    struct SlEventQueue *queue;
    SlEngineEvents events; /* into the queue */
    SlKube *kube;
    SlKubeDiscovery *discovery;
    char **namespaces;  /* the only ones that are watched; NULL = all */
    char *cluster;      /* of the agent */
    GHashTable *things; /* "app kind namespace name" -> Thing* */
    GHashTable *kinds;  /* "group/version/Kind" -> GPtrArray of KindWatch* */
    GPtrArray *waiting; /* of Thing*: their kind was not known */
};

typedef enum { KUBE_APPLY, KUBE_ADOPT, KUBE_REMOVE } KubeOpType;
typedef struct {
    KubeOpType type;
    json_t *object; /* of apply and adopt */
    char *digest;
    bool force;
    bool refreshed; /* discovery was asked anew for it */
} KubeOp;

struct Thing {
    SlEngine *engine;
    char *app, *kind, *namespace_, *name; /* as the agent names it: namespace "-" */
    char *group, *version, *kind_name;    /* of the object that was applied or adopted last */
    GQueue ops;                           /* of KubeOp*; the head is under way */
    SlKubeCall *call;
    SlTimer *timer; /* of a removal; else the next look at its health */
    unsigned tries; /* looks at a removal */
    char *digest;   /* applied and in place; NULL = not known */
    char *uid;
    uint64_t revision; /* of our last write; what the watch says of an older one is past */
    char *fields;      /* digest of what we own in it, when that was looked at last */
    bool drifted;
    unsigned corrections;
    int64_t corrected_us[SL_KUBE_FIGHT]; /* boot clock, oldest first */
    SlHealthState health;
    json_t *object; /* while it is looked at again by itself */
    json_t *ahead;  /* what the watch saw last while an operation was under way */
    SlHealth said;
    char *said_reason, *said_message; /* NULL = nothing said yet */
};

/* ---- things.c ---- */
char *sl_thing_key(const char *app, const char *kind, const char *namespace_, const char *name);
/* The one of @ref, made if there is none. */
Thing *sl_thing_of(SlEngine *engine, const SlEngineRef *ref);
SlEngineRef sl_thing_ref(const Thing *thing);
void sl_thing_free(void *thing);
void sl_thing_add(Thing *thing, KubeOp *op /* transfer full */);
/* The head is over: the next one begins. The thing may be gone afterwards. */
void sl_thing_next(Thing *thing);
/* PRESENT sets @ret_kind; else the thing goes on after discovery was asked anew (NULL and no error),
 * or it was already: NULL and NO_KIND. */
const SlKubeKind *sl_thing_kind(Thing *thing, KubeOp *op, GError **error);
/* Path of the object; errors of sl_kube_path. (transfer full) */
char *sl_thing_path(const Thing *thing, const SlKubeKind *kind, GError **error);
const char *sl_thing_namespace(const Thing *thing, const SlKubeKind *kind); /* "" if it has none */
char *sl_thing_mark(const Thing *thing, const char *namespace_);            /* (transfer full) */
typedef enum { KUBE_OURS, KUBE_NOBODYS, KUBE_OTHERS } KubeOwner;
KubeOwner sl_thing_owner(const Thing *thing, const json_t *object);

/* ---- apply.c ---- */
void sl_kube_apply_begin(Thing *thing, KubeOp *op);
void sl_kube_apply_answer(Thing *thing, const GError *error);

/* ---- remove.c ---- */
void sl_kube_remove_begin(Thing *thing, KubeOp *op);
void sl_kube_remove_look(Thing *thing); /* is it gone? */

/* ---- look.c ---- */
/* What the API server says that it is now. */
void sl_kube_look(Thing *thing, const json_t *object);
void sl_kube_look_again(Thing *thing); /* its time has come */
/* What a watch saw: later, while an operation is under way; never, if it is older than our write. */
void sl_kube_watched(Thing *thing, const json_t *object);
void sl_kube_look_ahead(Thing *thing); /* the operation is over */
void sl_kube_missing(Thing *thing, const char *message);
void sl_kube_say(Thing *thing, SlHealth health, const char *reason, const char *message);
/* It is as we wrote it: what we own now is what we own. */
void sl_kube_written(Thing *thing, const json_t *object);

/* ---- watches.c ---- */
GHashTable *sl_kube_watches_new(void);
void sl_kube_watch_kind(SlEngine *engine, const SlKubeKind *kind);
