# sluice_protobuf(OUT_VAR file.proto...): C sources generated into the build folder by protoc-c.
find_program(PROTOC_C protoc-c REQUIRED)
function(sluice_protobuf out)
  set(sources)
  foreach(proto IN LISTS ARGN)
    get_filename_component(stem ${proto} NAME_WE)
    set(base ${CMAKE_CURRENT_BINARY_DIR}/proto/${stem}.pb-c)
    add_custom_command(
      OUTPUT ${base}.c ${base}.h
      COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_CURRENT_BINARY_DIR}/proto
      COMMAND ${PROTOC_C} --c_out=${CMAKE_CURRENT_BINARY_DIR}/proto -I ${CMAKE_CURRENT_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR}/${proto}
      DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${proto} VERBATIM)
    set_source_files_properties(${base}.c PROPERTIES COMPILE_OPTIONS "-w")
    list(APPEND sources ${base}.c)
  endforeach()
  set(${out} ${sources} PARENT_SCOPE)
endfunction()
