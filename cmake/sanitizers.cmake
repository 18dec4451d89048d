# SLUICE_SANITIZE: "" | "address,undefined" | "thread"; SLUICE_COVERAGE: gcov counters.
set(SLUICE_SANITIZE "" CACHE STRING "Sanitizers, as for -fsanitize=")
option(SLUICE_COVERAGE "Count line coverage" OFF)
add_library(sluice_sanitizers INTERFACE)
if(SLUICE_SANITIZE)
  target_compile_options(sluice_sanitizers INTERFACE
    -fsanitize=${SLUICE_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(sluice_sanitizers INTERFACE -fsanitize=${SLUICE_SANITIZE})
  set(SLUICE_REPORTS ${CMAKE_BINARY_DIR}/reports) # what they find in programs (sanitized.c); tests look there
  file(MAKE_DIRECTORY ${SLUICE_REPORTS})
endif()
if(SLUICE_COVERAGE)
  target_compile_options(sluice_sanitizers INTERFACE --coverage)
  target_link_options(sluice_sanitizers INTERFACE --coverage)
endif()
