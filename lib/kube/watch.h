/* watch.h - every object of one resource path, for ever: list, watch, and again after anything that
 * breaks it. Keeps a name, uid and resourceVersion per object, never the object. */
#pragma once
#include "kube/client.h"

#define SL_KUBE_OBJECTS_MAX 200000 /* of one watch; more is LIMIT, said by problem() */

typedef struct {
    /* New or changed; not said again for a resourceVersion that was said. */
    void (*seen)(const json_t *object, void *user);
    /* Deleted, or not in a list any more. An object that came back by its name is gone by its old uid
     * first. */
    void (*gone)(const char *namespace_ /* "" */, const char *name, const char *uid, void *user);
    /* All that the server has was said; after each whole list. */
    void (*synced)(void *user);
    /* It goes on by itself, later. */
    void (*problem)(const GError *error, void *user);
} SlKubeWatchEvents;

typedef struct {
    const char *path;     /* "/apis/batch/v1/jobs" */
    const char *selector; /* of labels, or NULL */
    int64_t silence_us;   /* 0 = 150 s: no byte for so long in spite of bookmarks: connect anew */
    unsigned page;        /* 0 = 500 objects of a list at a time */
} SlKubeWatchHow;

typedef struct SlKubeWatch SlKubeWatch;
/* Callbacks run from the loop and may free the watch. */
SlKubeWatch *sl_kube_watch_new(SlKube *kube, const SlKubeWatchHow *how,
                               const SlKubeWatchEvents *events, void *user);
void sl_kube_watch_free(SlKubeWatch *watch);
