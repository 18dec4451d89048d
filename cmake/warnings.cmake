# Warnings that every target of ours is built with; -Werror is a preset's choice (SLUICE_WERROR).
option(SLUICE_WERROR "Treat warnings as errors" ON)
add_library(sluice_warnings INTERFACE)
target_compile_options(sluice_warnings INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wvla -Wformat=2
  -Wimplicit-fallthrough -Wstrict-prototypes -Wmissing-prototypes -Wundef -Wpointer-arith
  # clang calls a variable that only its cleanup uses unused (gcc does not), and long literals over two lines suspicious
  $<$<C_COMPILER_ID:Clang>:-Wno-unused-variable -Wno-string-concatenation>
  $<$<BOOL:${SLUICE_WERROR}>:-Werror>)
target_compile_definitions(sluice_warnings INTERFACE
  _GNU_SOURCE
  GLIB_VERSION_MIN_REQUIRED=GLIB_VERSION_2_74
  GLIB_VERSION_MAX_ALLOWED=GLIB_VERSION_2_74
  SLUICE_VERSION="${PROJECT_VERSION}")
