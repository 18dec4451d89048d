/* auth.c - who asks, and may they: peer credentials of the Unix socket, else a bearer token. There
 * is no anonymous mode. */
#include "coordinator/api/call.h"
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TOKEN_MAX 256

static bool is_owner(SlApiCall *call)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(call->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct ucred peer = {0};
    socklen_t len = sizeof peer;
    if (info == NULL || getsockopt(info->connect_fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
        return false;
    return peer.uid == geteuid() || peer.uid == 0;
}

static bool by_token(SlApiCall *call, const char *header, GError **error)
{
    const char *person = NULL, *scope = NULL;
    if (g_ascii_strncasecmp(header, "Bearer ", 7) != 0 || strlen(header) > TOKEN_MAX)
        return sl_throw(error, SLU_API_TOKEN, "the Authorization header is no Bearer token");
    if (!call->api->config.ops->token(call->api->config.user, header + 7, &person, &scope, error))
        return false;
    if (!sl_scope_parse(scope, &call->scope))
        return sl_throw(error, SLU_API_TOKEN, "the token has no scope");
    call->person = g_strdup(person);
    return true;
}

static bool identify(SlApiCall *call, GError **error)
{
    const char *header =
        MHD_lookup_connection_value(call->connection, MHD_HEADER_KIND, "Authorization");
    if (header != NULL)
        return by_token(call, header, error);
    if (!call->port->is_unix || !is_owner(call))
        return sl_throw(error, SLU_API_TOKEN, "a token is needed here");
    call->person = g_strdup(call->api->config.owner_person);
    call->scope = SL_SCOPE_OPERATE;
    return true;
}

bool sl_call_authorise(SlApiCall *call)
{
    g_autoptr(GError) error = NULL;
    if (identify(call, &error) && call->scope < call->route->scope)
        sl_throw(&error, SLU_API_SCOPE, "this needs scope %s, the token has %s",
                 sl_scope_name(call->route->scope), sl_scope_name(call->scope));
    if (error == NULL)
        return true;
    sl_call_error(call, error);
    return false;
}
