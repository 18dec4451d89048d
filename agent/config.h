/* config.h - agent.json (written by `sluice-agent join`, strict) and the join token. */
#pragma once
#include "base/json.h"

#define SL_AGENT_CONFIG_MAX (64 * 1024)

typedef struct {
    char *dir;                          /* absolute */
    char *cluster, *env, *fleet, *root; /* root: digest of root version 1 */
    char *coordinator, *curve;          /* endpoint and its key, 64 hex */
    char *engine, *model_store, *exec, *log_level;
    json_t *engines, *secrets; /* engines.<name>: options */
} SlAgentConf;

/* Errors: NOT_FOUND (not joined), AGENT_CONFIG with the key. (transfer full) */
SL_MUST_USE SlAgentConf *sl_agent_conf_load(const char *dir, GError **error);
SL_MUST_USE bool sl_agent_conf_save(const SlAgentConf *conf, GError **error);
void sl_agent_conf_free(SlAgentConf *conf);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SlAgentConf, sl_agent_conf_free)
char *sl_agent_conf_path(const SlAgentConf *conf,
                         const char *name); /* below dir. (transfer full) */
/* Options of the engine with the secrets in them, as SlEngineConfig wants them. (transfer full) */
json_t *sl_agent_conf_options(const SlAgentConf *conf);

/* "slj1." + base64url of canonical JSON. */
typedef struct {
    char *coordinator, *curve, *fleet, *id, *root, *secret, *name, *env;
} SlJoinToken;
/* The token is a secret, so it comes by standard input and never as an argument, which everybody on the machine can
 * read: one line, at most 4096 bytes. A terminal is asked and does not echo. (transfer full) Error: TOKEN_FORMAT. */
SL_MUST_USE char *sl_join_token_read(int fd, GError **error);
SL_MUST_USE SlJoinToken *sl_join_token_parse(const char *text, GError **error); /* TOKEN_FORMAT */
void sl_join_token_free(SlJoinToken *token); /* wipes the secret */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SlJoinToken, sl_join_token_free)
