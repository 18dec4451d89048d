/* sanitized.c - how a program behaves that was built with sanitizers (part of no other build): what they
 * find goes to files in build/<preset>/reports, since children start with an empty environment and
 * nobody keeps what they write. The environment's ASAN_OPTIONS, UBSAN_OPTIONS, TSAN_OPTIONS add to it. */
#define REPORTS "log_path=" SLUICE_REPORTS "/report:log_exe_name=1"

const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return REPORTS ":detect_leaks=1:strict_string_checks=1";
}

const char *__lsan_default_options(void);
const char *__lsan_default_options(void)
{
    return "print_suppressions=0"; /* a report that nothing was found is none */
}

const char *__ubsan_default_options(void);
const char *__ubsan_default_options(void)
{
    return REPORTS ":print_stacktrace=1";
}

const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return REPORTS ":suppressions=" SLUICE_TSAN_SUPPRESSIONS;
}
