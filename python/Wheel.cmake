# What a wheel holds besides python/tenon: the library, the native module with its stub, the program, headers and sources to build
# the TensorFlow plug-in from, and the shared libraries that manylinux does not promise. Nothing in it names a folder of the build.
install(TARGETS tenon_python tenon LIBRARY DESTINATION tenon COMPONENT python)
install(FILES ${package_dir}/_native.pyi DESTINATION tenon COMPONENT python)
install(TARGETS tenon_cli RUNTIME DESTINATION tenon/bin COMPONENT python)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/include/tenon DESTINATION tenon/include COMPONENT python FILES_MATCHING PATTERN "*.h")
install(DIRECTORY ${CMAKE_SOURCE_DIR}/tfplugin DESTINATION tenon COMPONENT python FILES_MATCHING PATTERN "*.h" PATTERN "*.cc"
        PATTERN "tests" EXCLUDE)

# Debian's archives of these libraries cannot go into a shared library (they are not position-independent), so the libraries
# themselves come along. RPATH, not RUNPATH: it also serves what those libraries need, and goes before LD_LIBRARY_PATH.
set_target_properties(tenon PROPERTIES INSTALL_RPATH "$ORIGIN/_libs")
set_target_properties(tenon_cli PROPERTIES INSTALL_RPATH "$ORIGIN/..:$ORIGIN/../_libs")
set_target_properties(tenon_python PROPERTIES INSTALL_RPATH "$ORIGIN:$ORIGIN/_libs")
foreach(target tenon tenon_cli tenon_python)
  target_link_options(${target} PRIVATE -Wl,--disable-new-dtags)
endforeach()
find_library(JPEG_SHARED_LIBRARY jpeg REQUIRED)  # opened at run time by this name
file(REAL_PATH ${JPEG_SHARED_LIBRARY} jpeg)
install(CODE "
  file(GET_RUNTIME_DEPENDENCIES LIBRARIES \"$<TARGET_FILE:tenon>\" \"${jpeg}\" RESOLVED_DEPENDENCIES_VAR libraries
       PRE_EXCLUDE_REGEXES \"^(ld-linux|lib(c|m|dl|rt|pthread|gcc_s|stdc\\\\+\\\\+|z)\\\\.)\")
  foreach(library IN LISTS libraries ITEMS \"${jpeg}\")
    get_filename_component(name \"\${library}\" NAME)
    string(REGEX REPLACE \"(\\\\.so\\\\.[0-9]+).*\" \"\\\\1\" name \${name})
    file(REAL_PATH \"\${library}\" library)
    file(INSTALL DESTINATION \"\${CMAKE_INSTALL_PREFIX}/tenon/_libs\" TYPE FILE
         RENAME \${name} FILES \"\${library}\")
  endforeach()" COMPONENT python)

# The licences of what is inside, where Debian's packages put them.
foreach(package cli11 eigen3 farmhash fmt hwy jpeg62-turbo nlohmann-json3 protozero re2 snappy utfcpp xxhash)
  foreach(folder lib${package}-dev ${package}-dev)
    if(EXISTS /usr/share/doc/${folder}/copyright)
      install(FILES /usr/share/doc/${folder}/copyright DESTINATION tenon/licenses RENAME ${package}.txt COMPONENT python)
    endif()
  endforeach()
endforeach()
file(GLOB nanobind_license ${nanobind_DIR}/../../nanobind-*.dist-info/licenses/LICENSE)
install(FILES ${nanobind_license} DESTINATION tenon/licenses RENAME nanobind.txt COMPONENT python)
