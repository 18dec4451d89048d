/* rig.h - runs commands of `sluice` in this process: a home of its own, captured output, and a coordinator that gives canned answers. */
#pragma once
#include "base/json.h"
#include "base/text.h"
#include "cli/private.h"
#include "runtime/atomicfile.h"
#include <fcntl.h>
#include <glib/gstdio.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define RIG G_GNUC_UNUSED static

typedef struct {
    char *dir;        /* home of the test, removed at the end */
    char *out, *err;  /* of the last command */
    char *socket;     /* of the coordinator; NULL = none */
    int listener;
    pthread_t thread;
    GPtrArray *paths, *answers; /* of char*: "GET /v1/roots" or "POST /v1/actions/root", JSON; status 400 if it has "error" */
    GPtrArray *posted;          /* of char*: "/v1/actions/root {body}" */
} Rig;

RIG Rig *rig_new(void)
{
    Rig *r = g_new0(Rig, 1);
    r->dir = g_dir_make_tmp("sluice-cli-XXXXXX", NULL);
    g_assert_nonnull(r->dir);
    r->listener = -1;
    r->paths = g_ptr_array_new_with_free_func(g_free);
    r->answers = g_ptr_array_new_with_free_func(g_free);
    r->posted = g_ptr_array_new_with_free_func(g_free);
    g_setenv("HOME", r->dir, TRUE);
    g_setenv("XDG_CONFIG_HOME", r->dir, TRUE);
    g_unsetenv("SLUICE_FLEET");
    g_unsetenv("SSH_AUTH_SOCK");
    g_assert_cmpint(chdir(r->dir), ==, 0);
    return r;
}

RIG void rig_free(Rig *r)
{
    if (r->listener >= 0) {
        shutdown(r->listener, SHUT_RDWR);
        pthread_join(r->thread, NULL);
        close(r->listener);
    }
    g_assert_cmpint(chdir("/"), ==, 0);
    g_assert_true(sl_dir_remove_tree(r->dir, NULL));
    g_ptr_array_unref(r->paths);
    g_ptr_array_unref(r->answers);
    g_ptr_array_unref(r->posted);
    g_free(r->dir);
    g_free(r->out);
    g_free(r->err);
    g_free(r->socket);
    g_free(r);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Rig, rig_free)

RIG char *rig_path(const Rig *r, const char *name)
{
    return g_build_filename(r->dir, name, NULL);
}

RIG void rig_put(const Rig *r, const char *name, const char *text)
{
    g_autofree char *path = rig_path(r, name), *folder = g_path_get_dirname(path);
    g_assert_true(sl_dir_make(folder, 0755, NULL));
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

RIG char *rig_read(const Rig *r, const char *name)
{
    g_autofree char *path = rig_path(r, name);
    char *text = NULL;
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return text;
}

/* Points @fd to a new file; returns what it was. */
RIG int rig_redirect(int fd, const char *path)
{
    int kept = dup(fd), file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    g_assert_true(kept >= 0 && file >= 0 && dup2(file, fd) == fd);
    close(file);
    return kept;
}

RIG void rig_capture(Rig *r, int kept_out, int kept_err)
{
    fflush(stdout);
    fflush(stderr);
    dup2(kept_out, STDOUT_FILENO);
    dup2(kept_err, STDERR_FILENO);
    close(kept_out);
    close(kept_err);
    g_free(r->out);
    g_free(r->err);
    r->out = rig_read(r, ".out");
    r->err = rig_read(r, ".err");
}

/* A parsed command, not run; NULL and *ret_code if the words are refused. */
RIG SlCli *rig_parse(Rig *r, const char *const *words, int *ret_code)
{
    g_autofree char *out = rig_path(r, ".out"), *err = rig_path(r, ".err");
    fflush(stdout);
    int kept_out = rig_redirect(STDOUT_FILENO, out), kept_err = rig_redirect(STDERR_FILENO, err);
    SlCli *cli = sl_cli_parse((int)g_strv_length((char **)(uintptr_t)words), (char **)(uintptr_t)words, ret_code);
    rig_capture(r, kept_out, kept_err);
    return cli;
}

/* Runs a command; its output is in r->out and r->err. */
RIG int rig_run(Rig *r, const char *const *words)
{
    g_autofree char *out = rig_path(r, ".out"), *err = rig_path(r, ".err");
    int code = SL_EXIT_OK;
    fflush(stdout);
    int kept_out = rig_redirect(STDOUT_FILENO, out), kept_err = rig_redirect(STDERR_FILENO, err);
    SlCli *cli = sl_cli_parse((int)g_strv_length((char **)(uintptr_t)words), (char **)(uintptr_t)words, &code);
    code = cli != NULL ? cli->command->run(cli) : code;
    sl_cli_free(cli);
    rig_capture(r, kept_out, kept_err);
    return code;
}
#define RUN(r, ...) rig_run(r, (const char *const[]){__VA_ARGS__, NULL})

#define assert_has(text, part)                                                                          \
    do {                                                                                                \
        if (strstr(text, part) == NULL)                                                                 \
            g_error("%s:%d: no \"%s\" in:\n%s", __FILE__, __LINE__, part, text);                        \
    } while (0)
#define assert_code(r, code, wanted)                                                                    \
    do {                                                                                                \
        int code_ = (code);                                                                             \
        if (code_ != (wanted))                                                                          \
            g_error("%s:%d: exit code %d\n%s%s", __FILE__, __LINE__, code_, (r)->out, (r)->err);         \
    } while (0)

/* ---- the coordinator ---- */

RIG char *rig_read_request(int fd)
{
    GString *text = g_string_new(NULL);
    char block[4096];
    size_t want = SIZE_MAX;
    while (text->len < want) {
        ssize_t n = read(fd, block, sizeof block);
        if (n <= 0) {
            break;
        }
        g_string_append_len(text, block, n);
        const char *end = strstr(text->str, "\r\n\r\n");
        const char *length = strcasestr(text->str, "content-length: ");
        if (end != NULL) {
            want = (size_t)(end - text->str) + 4 + (length != NULL ? strtoul(length + 16, NULL, 10) : 0);
        }
    }
    return g_string_free(text, FALSE);
}

RIG void rig_answer(Rig *r, int fd)
{
    g_autofree char *request = rig_read_request(fd);
    const char *answer = "{\"error\":{\"code\":\"SLU1002\",\"class\":\"not-found\",\"message\":\"no such route\",\"advice\":\"-\"}}";
    const char *body = strstr(request, "\r\n\r\n");
    if (g_str_has_prefix(request, "POST ") && body != NULL) {
        g_autofree char *path = g_strndup(request + 5, strcspn(request + 5, " ?"));
        g_ptr_array_add(r->posted, g_strdup_printf("%s %s", path, body + 4));
    }
    for (guint i = 0; i < r->paths->len; i++) {
        const char *path = g_ptr_array_index(r->paths, i);
        if (g_str_has_prefix(request, path) && strchr(" ?", request[strlen(path)]) != NULL) {
            answer = g_ptr_array_index(r->answers, i);
        }
    }
    const char *status = strstr(answer, "{\"error\"") == answer ? "400 Bad Request" : "200 OK";
    g_autofree char *text = g_strdup_printf("HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
                                            status, strlen(answer), answer);
    for (size_t sent = 0; sent < strlen(text);) {
        ssize_t n = send(fd, text + sent, strlen(text) - sent, MSG_NOSIGNAL);
        if (n <= 0) {
            return;
        }
        sent += (size_t)n;
    }
}

RIG void *rig_serve(void *user)
{
    Rig *r = user;
    for (int fd; (fd = accept(r->listener, NULL, NULL)) >= 0; close(fd)) {
        rig_answer(r, fd);
    }
    return NULL;
}

/* @answer: JSON. Add every answer before the first command runs. */
RIG void rig_says(Rig *r, const char *path, const char *answer)
{
    g_ptr_array_add(r->paths, g_strdup(path));
    g_ptr_array_add(r->answers, g_strdup(answer));
    if (r->listener >= 0) {
        return;
    }
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    r->socket = rig_path(r, "api.sock");
    g_strlcpy(address.sun_path, r->socket, sizeof address.sun_path);
    r->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(r->listener, (const struct sockaddr *)&address, sizeof address), ==, 0);
    g_assert_cmpint(listen(r->listener, 16), ==, 0);
    g_assert_cmpint(pthread_create(&r->thread, NULL, rig_serve, r), ==, 0);
}
