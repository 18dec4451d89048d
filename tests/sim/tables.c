/* tables.c - the tables of stories, actors and checkers (stories.def, actors.def, checks.def). */
#include "sim.h"

const Story *const STORIES[] = {
#define STORY(id) &story_##id,
#include "stories.def"
#undef STORY
};
const size_t STORIES_COUNT = G_N_ELEMENTS(STORIES);

const Actor *const ACTORS[] = {
#define ACTOR(id) &actor_##id,
#include "actors.def"
#undef ACTOR
};
const size_t ACTORS_COUNT = G_N_ELEMENTS(ACTORS);
_Static_assert(G_N_ELEMENTS(ACTORS) <= SIM_ACTORS_MAX, "an actor is a bit of a mask");

const Check CHECKS[] = {
#define CHECK(function, name, promise, moments) {name, promise, moments, function},
#include "checks.def"
#undef CHECK
};
const size_t CHECKS_COUNT = G_N_ELEMENTS(CHECKS);
