/* config.h - how to reach one Kubernetes API server, and as whom: from a Pod's service account or
 * from a kubeconfig in JSON. What is unsafe or would start a program is refused. */
#pragma once
#include "sluice/error.h"

#define SL_KUBE_CONFIG_MAX ((size_t)1024 * 1024)
#define SL_KUBE_PEM_MAX ((size_t)256 * 1024)
#define SL_KUBE_TOKEN_MAX ((size_t)16 * 1024)
#define SL_KUBE_ACCOUNT_FOLDER "/var/run/secrets/kubernetes.io/serviceaccount"

typedef struct {
    char *server;             /* "https://host:port[/path]", no / at the end */
    char *namespace_;         /* "default" if none is named */
    char *ca_pem;             /* NULL = the system's */
    char *cert_pem, *key_pem; /* both or NULL */
    char *token;              /* or NULL */
    char *token_file;         /* or NULL; before token, read again when it changes */
} SlKubeConfig;
void sl_kube_config_free(SlKubeConfig *config);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SlKubeConfig, sl_kube_config_free)

/* Of the Pod: @host and @port are KUBERNETES_SERVICE_HOST and _PORT (NULL if unset), @folder
 * SL_KUBE_ACCOUNT_FOLDER. Errors: KUBE_NOT_IN_CLUSTER, KUBE_CONFIG, KUBE_TOKEN. (transfer full) */
SL_MUST_USE SlKubeConfig *sl_kube_config_of_pod(const char *folder, const char *host,
                                                const char *port, GError **error);
/* @context NULL = the current one; files that it names are relative to its folder. Errors:
 * KUBE_CONFIG_YAML, _CONTEXT, _LOGIN, _INSECURE, KUBE_CONFIG, KUBE_TOKEN, those of sl_file_read.
 * (transfer full) */
SL_MUST_USE SlKubeConfig *sl_kube_config_load(const char *path, const char *context,
                                              GError **error);
/* The same of bytes; @folder is where relative files are. */
SL_MUST_USE SlKubeConfig *sl_kube_config_parse(const char *bytes, size_t len, const char *folder,
                                               const char *context, GError **error);
/* One line without what would break a header, from a file of at most SL_KUBE_TOKEN_MAX. Errors:
 * KUBE_TOKEN. (transfer full) */
SL_MUST_USE char *sl_kube_token_load(const char *path, GError **error);
