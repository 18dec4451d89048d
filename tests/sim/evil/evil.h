/* evil.h - what those who mean harm share: a forge, and the table of their attacks.
 *
 * An attack is one row: it forges something, hands it to an agent as the coordinator would, and says
 * which refusal must then stand in the agent's report and in the coordinator's status. What no honest
 * agent may ever take is written down as *never*: check_never (checks.def) looks for it in every slot
 * that an agent saves and in every operation that it asks for, in every seed. The forge must not use
 * the product's rules to judge its own work. */
#pragma once
#include "../sim.h"

typedef struct Attack Attack;

/* What is being forged; an attack's @edit changes it before it is signed. */
typedef struct {
    World *w;
    Agent *a;
    const Attack *attack;
    char unit[64]; /* application that the list names */
    SlPromotion *p;
    SlOrder *o;
    SlHead *h;
    SlRegistry *r;
    SlRoot *root;
    GHashTable *lines;   /* of the desired list: key -> value */
    const char *signers; /* names, commas between; NULL = the attack's */
    char *text;          /* instead of the struct's own text */
    char *as;            /* digest under which it is named and served, instead of its own */
    GPtrArray *sigs;     /* beside the signers' */
    bool hidden;         /* nobody serves it */
    bool vain;           /* there is nothing here to forge it from */
} Forging;

/* What is waited for after an attack. */
typedef struct {
    char *entry; /* of the agent's report: "refused/unit/x/prod", "flag/..."; NULL = nothing */
} Shot;

struct Attack {
    const char *name, *kind; /* kind of the refusal; NULL: a flag, or @over */
    int code;
    const char *signers;
    void (*edit)(Forging *f);
    void (*act)(World *w, const Attack *attack, Agent *a, Shot *shot); /* NULL = its table's */
    const char *like; /* part of the entry's message */
    const char *env;  /* of the victim; NULL = prod */
    bool alone;       /* not mixed into ordinary seeds: it leaves marks */
    bool timed;       /* refused by the clock: one that steps may find it right */
    /* more that must come true before the attack is over; also undoes what it left. Nullable. */
    bool (*over)(World *w, Agent *a);
};

#define KIND(kind_, code_) .kind = kind_, .code = code_
#define ROW(name_, refused, signers_, edit_)                                                       \
    {                                                                                              \
        .name = name_, refused, .signers = signers_, .edit = edit_                                 \
    }
#define TIMED(name_, refused, signers_, edit_)                                                     \
    {                                                                                              \
        .name = name_, refused, .signers = signers_, .edit = edit_, .timed = true                  \
    }
#define WAITS(name_, signers_, edit_, like_)                                                       \
    {                                                                                              \
        .name = name_, .signers = signers_, .edit = edit_, .like = like_                           \
    }

typedef struct {
    const char *group;
    const Attack *rows;
    size_t count;
    void (*act)(World *w, const Attack *attack, Agent *a, Shot *shot);
} AttackTable;
extern const AttackTable *const ATTACKS[];
extern const size_t ATTACKS_COUNT;
/* One attack with its table, as a pattern named it. */
typedef struct {
    const AttackTable *table;
    const Attack *attack;
} Named;
GArray *
attacks_named(const char *pattern); /* of Named: "promotion/online-only", "head/" and a star */
bool attacks_choose(const char *pattern, SimOptions *options);
int attacks_run(uint64_t seed); /* all, a world for each table; exit status */
void attacks_list(void);
void attack_fire(World *w, const AttackTable *table, const Attack *attack, Agent *a, Shot *shot);

/* One for each group: forge, hand over, say what must follow. */
void fire_promotion(World *w, const Attack *attack, Agent *a, Shot *shot);
void fire_own(World *w, const Attack *attack, Agent *a, Shot *shot);
void fire_list(World *w, const Attack *attack, Agent *a, Shot *shot);
void fire_order(World *w, const Attack *attack, Agent *a, Shot *shot);
void fire_head(World *w, const Attack *attack, Agent *a, Shot *shot);
void fire_root(World *w, const Attack *attack, Agent *a, Shot *shot);
void fire_registry(World *w, const Attack *attack, Agent *a, Shot *shot);
void fire_run(World *w, const Attack *attack, Agent *a, Shot *shot);

/* ---- forge.c ---- */

/* In every root: a second key of alice, a key of bob's that was revoked, and roles for units that
 * nobody uses: `two-*` wants alice and bob, `strict-*` excludes authors and requester. Both for act
 * remove, which no other act falls back to. */
void forge_root(World *w, SlRoot *root);
const uint8_t *forge_key(World *w, const char *name); /* "online", a person, or a made-up name */
SlPublicKey *forge_public(World *w, const char *name);

char *forge_blob(World *w, const char *text);                       /* digest */
void forge_blob_as(World *w, const char *digest, const char *text); /* wrong bytes */
char *forge_map(World *w, GHashTable *entries);                     /* root, honestly made */
char *forge_map_of(World *w, const char *key, const char *value);
char *forge_buckets(World *w, const char *const *buckets, size_t count); /* root, as given */
/* prod's bundle with its server changed. NULL if @a runs none. */
char *forge_bundle(World *w, const Agent *a);
char *forge_list_text(World *w, const Agent *a);  /* text of the bundle in force; NULL */
char *forge_server(World *w, const Agent *a);     /* digest of its server's object; NULL */
GBytes *forge_find(World *w, const char *digest); /* true bytes or forged ones. Borrowed; NULL */

/* Signs, keeps and serves a statement; answers its digest. */
char *forge_statement(Forging *f, SlStatementKind kind, GBytes *text);
/* No agent of @a's environment may ever take what holds this text. */
void forge_never(World *w, const Agent *a, const Attack *attack, const char *text);

/* What is refused only because the victim knows better. One that has yet to hear of the true text
 * takes another one for it, if who may signed that too. So: does its disk hold @text at @path?
 * "root.text", "registry.text", or the promotion in force of the victim's unit. */
bool forge_is_known(World *w, Agent *a, const char *path, const char *text);
SlPromotion *forge_promotion_in_force(World *w, const Agent *a); /* of the victim's unit; NULL */
char *forge_good(World *w, const Agent *a);                      /* its digest; NULL */
const char *forge_app(const World *w);
void forge_begin(Forging *f, World *w, const Attack *attack, Agent *a);
void forge_end(Forging *f);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Forging, forge_end)
void put_text(char **member, const char *value);

/* ---- hand.c: as the coordinator would ---- */
SlHead *hand_head(World *w, const Agent *a, const char *desired); /* honest, the next one */
void hand_send_head(World *w, Agent *a, const SlHead *h, const uint8_t *key);
/* The list of @lines and the unit in force, in an honest head. */
void hand_list(World *w, Agent *a, GHashTable *lines);
void hand_steps(World *w, Agent *a, const SlSigned *root, const SlSigned *registry);
GHashTable *hand_lines(World *w, const Agent *a); /* what is good for @a now */
bool hand_is_mine(World *w);                      /* what is on its way is the thief's own */
/* While it is held, the true coordinator's heads and steps don't reach @a (NULL = all do). */
void hand_hold(World *w, Agent *a);
const Agent *hand_held(World *w);
