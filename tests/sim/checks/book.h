/* book.h - what the checkers know by themselves: the ledger read a second time, by rules of their
 * own, and who really signed what.
 *
 * Nothing here asks the brains. The book is folded from the durable events (book_read, run by the
 * first row of checks.def), signatures are written down where people make them (people.c), what an
 * agent did is kept from its effects. The product's parsers of statements are used, its rules are
 * not. */
#pragma once
#include "../sim.h"

typedef enum { BOOK_WAITS, BOOK_LIVE, BOOK_ENDED } BookStage;

typedef struct {
    uint64_t n, to, seq, withheld, seen_at; /* seen_at: ledger seq of Requested */
    SlAct act;
    char *app, *env, *unit, *release, *requester; /* requester NULL = by itself */
    char *digest;                                 /* of the promotion; NULL before Rendered */
    SlPromotion *promotion;
    GBytes *text;          /* of the promotion */
    GHashTable *target_of; /* cluster -> bundle, as rendered; NULL before */
    bool unchanged;
    unsigned approvals;
    BookStage stage;
    char *commit;                 /* of the environment's branch */
    char *end;                    /* type of the event that ended it */
    uint64_t committed, ended;    /* ledger seq */
    int64_t committed_us, end_us; /* by the event's time */
    int64_t rendered_us;          /* when that was read */
} BookAttempt;

typedef struct {
    char *digest;
    SlOrder *order;
    uint64_t seen_at;
    int64_t at_us;
} BookOrder;

typedef struct {
    char *id, *app, *env, *job, *key, *cluster, *seal; /* seal: digest, NULL while it goes on */
    uint64_t generation;
    int64_t placed_us;
} BookRun;

typedef struct {
    GPtrArray *roots;     /* of SlRoot*, version 1 first */
    GPtrArray *attempts;  /* of BookAttempt*, n = index + 1 */
    GPtrArray *orders;    /* of BookOrder* */
    GHashTable *runs;     /* id -> BookRun* */
    GHashTable *promoted; /* promotion digest -> BookAttempt*, borrowed */
    GHashTable *pins;     /* set of "app/env" */
    GHashTable *vetoes;   /* set of "app/env release" */
    GHashTable *seqs;     /* "app/env" -> highest seq as text */
    GHashTable *members;  /* "env cluster" -> "" of the newest registry of each environment */
    GHashTable *commits;  /* commit id -> how often COMMITTED named it, as text */
    GHashTable *foreign;  /* set of commit ids that EXTERNAL_CHANGE named */
    GHashTable *releases; /* id -> commit that it was seen in last */
    GHashTable *halted;   /* set of environments */
    uint64_t term;
    uint64_t read; /* events of the ledger that are in here */
    char hash[65]; /* of the last one */
} Book;

Book *book_of(World *w);
BookAttempt *book_attempt(const Book *b, const json_t *event); /* that the event names; NULL */
/* What is live or was last in a unit; NULL. */
BookAttempt *book_live(const Book *b, const char *unit);
bool book_member(const Book *b, const char *env, const char *cluster);
const SlRoot *book_root(const Book *b, uint64_t version); /* NULL */
const SlRoot *book_root_newest(const Book *b);
void book_fold(World *w, Book *b, const json_t *event);
void book_free(void *book);

/* law.c: who really signed, and what a root asks for */
void law_signed(World *w, const char *digest, const char *key_line);
typedef struct {
    const char *env, *app; /* app NULL: the whole environment */
    SlAct act;
    const char *requester;
    char **authors;
} LawCase;
/* NULL = people of @root allowed it (or it asks for nobody); else what is missing. */
char *law_against(World *w, const SlRoot *root, const LawCase *what, const char *digest);

/* yard.c: what an agent did so far, from its inputs and effects only */
typedef struct {
    char *promotion, *bundle, *back; /* bundle: own line; back: where it may go back to */
    SlPromotion *p;
} Licence;

typedef struct {
    char *scope, *digest;
    uint64_t epoch, number, generation; /* generation: of the save that holds it; 0 = none yet */
    int64_t expires_us;
    bool firm; /* is in a slot */
} YardPause;

typedef struct {
    char *app, *promotion;
    unsigned had, removed;
} YardPrune;

typedef struct {
    GHashTable *licences;          /* promotion digest -> Licence*: operations were seen under it */
    GHashTable *floors;            /* app -> char* "epoch seq digest" */
    GHashTable *heads;             /* digests that could be accepted when they came */
    GHashTable *healthy;           /* set of "app bundle": all of it stood there, Healthy */
    GHashTable *runs;              /* bundle in use: app -> bundle */
    GHashTable *prunes;            /* app -> YardPrune* */
    GPtrArray *pauses;             /* of YardPause* */
    GHashTable *fetches;           /* open */
    GHashTable *ops;               /* open operations: key -> app */
    uint64_t epoch, term, version; /* of the head that was reported last */
    int64_t fresh_until_us;        /* latest end of a head that could be accepted */
    int64_t clock_us;              /* latest that its clock ever showed */
    GBytes *slot;                  /* that @slot_json was read from */
    json_t *slot_json;
    GBytes *said;        /* the last report's text */
    GBytes *report_text; /* that @report was read from */
    SlReport *report;
} Yard;

Yard *yard_of(World *w, const Agent *a);
void yard_forget(World *w, const Agent *a); /* both slots were taken from it */
/* The newest slot on its disk, read with nothing but the header's length; NULL. Borrowed. */
const json_t *yard_slot(World *w, Agent *a);
/* What it says there, read once for all checkers; NULL if it can't be. Borrowed. */
const SlReport *yard_report(World *w, const Agent *a, const SlSigned *s);
/* The licence of @promotion for @a, made at its first use; NULL (and failed) if there is none. */
const Licence *yard_licence(World *w, Agent *a, const char *promotion);
/* Bytes with this hash from anywhere (a thief's too). Borrowed; NULL. */
GBytes *yard_blob(World *w, const Agent *a, const char *digest);
/* Is "<what> <kind> <ns> <name>" a line of the bundle? Its last word (the digest of an object) in
 * @ret_digest if asked (transfer full). */
bool yard_has_line(World *w, const Agent *a, const char *bundle, const char *what, const char *kind,
                   const char *ns, const char *name, char **ret_digest);
/* Every object of the bundle that is no job stands in the cluster as the bundle has it, and is
 * Healthy. */
bool yard_all_healthy(World *w, const Agent *a, const char *bundle);
/* One of its objects stands there with other bytes. */
bool yard_is_another(World *w, const Agent *a, const char *bundle);
