/* server.h - one ModelServer; private to servers.c, version.c, instance.c, switch.c.
 *
 *   Server: live (serves) | next (being made ready) | draining (old ones on their way out) | front
 * (declared port) Version: one object digest: model, environment, files, instances (= replicas)
 *   Instance: one sluice-exec in its own folder, a port, a probe; a crash makes a new folder
 *
 * next becomes live when every instance of it is ready; then the front is switched and the old one
 * drained for `grace`. */
#pragma once
#include "agent/engines/process/process.h"

#define SERVER_REPLICAS_MAX 64 /* as the front's limit of back ends */
#define SERVER_RESTARTS_KEPT                                                                       \
    3 /* three restarts in ten minutes are a crash loop (health rule "Process") */

typedef struct Version Version;
typedef struct Instance Instance;
typedef struct Probe Probe;

struct Instance {
    Version *version;
    uint64_t serial;
    uint16_t port;
    char *dir;
    SlShim *shim;
    Probe *probe;   /* under way, or NULL */
    SlTimer *timer; /* next probe, or restart after back-off */
    bool due;       /* to be started, as soon as its version says that the model is right */
    bool up, ready, stopping, gone;
    unsigned probe_failures, crashes;
    int64_t probe_wait_us, ready_since_us, restarts[SERVER_RESTARTS_KEPT];
    char *problem; /* of the last start or probe */
};

struct Version {
    Server *server;
    char *digest, *dir, *files, *model_path;
    json_t *object, *spec; /* spec borrowed */
    GPtrArray *pairs;
    SlEnvJob *env_job;
    bool waits_model, prepared, is_draining;
    GPtrArray *instances; /* of Instance* */
    GArray *watch_ids;
    SlTimer *timer; /* retry of what can't be had now; drain check */
    int64_t since_us, drain_until_us;
    SlHealth problem_health;
    char *problem_reason, *problem; /* why it is not being started */
};

struct Server {
    SlEngine *engine;
    SlEngineRef ref; /* owned strings */
    char *key, *dir, *env, *cluster;
    Version *live, *next;
    GPtrArray *draining; /* of Version* */
    uint64_t serial, generation;
    SlShim *front;
    uint16_t front_port;
    char *front_dir, *front_problem, *crashed_dir;
    SlTimer *front_timer, *say_timer;
    bool removing;
    SlHealth said;
    char *said_reason, *said_message;
};

/* servers.c */
Server *sl_servers_make(SlEngine *engine, const SlEngineRef *ref);
GHashTable *sl_servers_table(void);
void server_save(Server *server);
void server_changed(
    Server *server); /* says health if it changed; looks whether next can take over */
void server_settled(Server *server); /* something of it ended: is it all gone? */
/* A version of that object in place of the next one. */
void server_prepare(Server *server, const char *digest, const json_t *object);
/* version.c */
Version *version_new(Server *server, const char *digest, const json_t *object);
void version_free(Version *version); /* what runs goes on */
void version_prepare(Version *version);
void version_start_due(Version *version); /* what is due, after its model was verified (again) */
void version_stop(Version *version);      /* every instance, now */
void version_problem(Version *version, SlHealth health, const char *reason, const char *message);
unsigned version_ready(const Version *version);
unsigned version_replicas(const Version *version);
int64_t version_grace(const Version *version);
uint16_t version_port(const Version *version); /* declared, 0 = none */
/* instance.c */
Instance *instance_new(Version *version, uint64_t serial, uint16_t port);
void instance_free(Instance *instance);
void instance_launch(Instance *instance); /* starts its folder, or watches what runs there */
void instance_stop(Instance *instance);
bool instance_crash_loop(const Instance *instance);
/* probe.c */
Probe *probe_start(Instance *instance, void (*done)(Instance *instance, const char *problem));
void probe_cancel(Probe *probe);
/* switch.c */
void server_take_over(Server *server); /* next becomes live */
/* Can `next` have its declared port? If not, `live` keeps its own front and goes on. */
bool server_port_fits(const Server *server);
/* Its declared port is taken: back ends of other servers that hold it are moved to other ports. */
void server_port_claim(Server *server, uint16_t port);
void server_front_ensure(Server *server);
void server_front_stop(Server *server);
void version_drain_check(Version *version);
void server_write_backends(Server *server);
