/* native.h - the portable kinds as objects of Kubernetes, at render time. Pure; private to lib/render.
 *
 * Input is the object after defaults, files and items, so that everything in it is exact already. One file per kind (server.c,
 * job.c); pod.c has what both put into Pods, files.c their ConfigMap, patch.c `native.kubernetes.patch`. What becomes of what:
 * docs/kubernetes.md. A change here changes the bundles of every cluster with Kubernetes; goldens guard it. */
#pragma once
#include "render/prepare.h"

#define SL_NATIVE_FILES_MAX SL_OBJECT_MAX /* Kubernetes takes no larger ConfigMap */

/* Folders in the containers. */
#define SL_NATIVE_FILES_DIR "/sluice/files"
#define SL_NATIVE_WORK_DIR "/sluice/work"
#define SL_NATIVE_INPUTS_DIR "/sluice/inputs"
#define SL_NATIVE_MODEL_DIR "/sluice/model"
#define SL_NATIVE_CHECKPOINT_DIR "/sluice/checkpoint"
#define SL_NATIVE_RUN_DIR "/sluice/run"
#define SL_NATIVE_STORE_DIR "/sluice/store"

typedef struct {
    SlPrepare *prepare;
    const SlRenderObject *source; /* for lines */
    const json_t *object, *spec;  /* of the portable object, made ready */
    const char *name;
    const char *kind;     /* of the main object: "Job" */
    const char *label;    /* that names the portable object: SL_LABEL_JOB */
    const char *instance; /* what is behind the name in names: "-$(sluice.run)", or "" */
    bool fine;
} SlNative;

/* One mistake at @path of the portable object. */
void sl_native_refuse(SlNative *native, const char *path, const char *hint, const char *format, ...)
    G_GNUC_PRINTF(4, 5);
char *sl_native_name(const SlNative *native, const char *suffix); /* name, instance, suffix */
/* Labels that choose this object's Pods. (transfer full) */
json_t *sl_native_selector(const SlNative *native);
/* An object with the labels and annotations of the portable one, ours among them. */
json_t *sl_native_object(const SlNative *native, const char *api_version, const char *kind,
                         const char *name, json_t *spec /* taken; or NULL */);
/* A duration of the spec in whole seconds, rounded up. */
json_int_t sl_native_seconds(const char *duration);

/* pod.c: all (transfer full) */
typedef struct {
    json_t *volumes, *init, *containers; /* lists */
    json_t *program;      /* borrowed: the container of the program, first of @containers */
    json_t *env, *mounts; /* borrowed: of the program */
} SlPod;
void sl_pod_init(SlNative *native, SlPod *pod, const char *resources);
/* The template; takes what is in @pod. */
json_t *sl_pod_template(SlNative *native, SlPod *pod, json_int_t grace_s, bool restarts);
void sl_pod_env(json_t *env, const char *name, const char *value); /* unless it is there */
void sl_pod_env_field(json_t *env, const char *name, const char *field);
void sl_pod_mount(json_t *mounts, const char *volume, const char *path, bool read_only);
void sl_pod_empty_volume(SlPod *pod, const char *name);
/* sluice-carry with @args (taken). */
json_t *sl_pod_carrier(const SlNative *native, const char *name, json_t *args);
const char *sl_native_model(const json_t *reference); /* "sha256:..." of a pinned reference */

/* The ConfigMap of spec.files, and the volume that shows it with paths and modes; NULL if there are none or after a refusal. */
json_t *sl_native_files(SlNative *native, json_t **ret_volume);
/* Applies native.kubernetes.patch to the main object. */
void sl_native_patch(SlNative *native, json_t *object);

/* Objects (json array) of a ModelServer; of one run of a TrainingJob. NULL after problems. */
json_t *sl_native_server(SlNative *native);
json_t *sl_native_job(SlNative *native);
