/* config.h - DIR/coordinator.json: read strictly, every mistake named at once. Pure reading;
 * nothing is started here. */
#pragma once
#include "base/json.h"

typedef struct {
    char *dir;                       /* absolute */
    char *repository, *branch;       /* fleet repository: absolute path or http(s) URL */
    char *ca_file, *credential_file; /* of the fleet repository, or NULL */
    char *api_socket;
    char *api_listen;       /* "127.0.0.1:7480" or NULL */
    int64_t api_request_us; /* how long one request may take to come */
    char *agents_listen, *agents_advertise;
    size_t agents_max; /* 0 = the link's own default */
    char *enrol_listen, *enrol_advertise; /* NULL = no enrolment */
    char *person;
    int64_t poll_us;
    char *model_store;  /* or NULL */
    char *state_remote; /* or NULL */
    bool state_remote_required;
    uint64_t ballast_bytes; /* given back when the disk of dir is full */
    char *state_git, *blobs_dir, *sources_dir, *cache_file, *online_key, *curve_key; /* under dir */
    char *git_path; /* program sluice-git */
} SlConfig;

/* Errors: CONFIG_MISSING, CONFIG_INVALID (one line per mistake). */
SL_MUST_USE SlConfig *sl_config_load(const char *dir, GError **error);
/* Paths under @dir only, for `init`. */
SlConfig *sl_config_paths(const char *dir);
void sl_config_free(SlConfig *config);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SlConfig, sl_config_free)
