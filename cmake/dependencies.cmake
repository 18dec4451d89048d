# Everything comes from Debian 12 packages (docs/adr/0002-dependencies.md); ./dev setup installs them.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
foreach(dep GLIB=glib-2.0 GIT2=libgit2 ZMQ=libzmq PROTOBUFC=libprotobuf-c CURL=libcurl
            SODIUM=libsodium CRYPTO=libcrypto SQLITE=sqlite3 FYAML=libfyaml JANSSON=jansson
            MHD=libmicrohttpd)
  string(REPLACE "=" ";" pair ${dep})
  list(GET pair 0 name)
  list(GET pair 1 module)
  pkg_check_modules(${name} REQUIRED IMPORTED_TARGET ${module})
endforeach()
