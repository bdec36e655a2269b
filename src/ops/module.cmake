find_package(Eigen3 3.4 REQUIRED NO_MODULE)  # decompositions and special functions: TensorFlow's kernels use the same
target_link_libraries(tenon_ops PRIVATE Eigen3::Eigen)
find_package(PkgConfig REQUIRED)
pkg_check_modules(RE2 REQUIRED IMPORTED_TARGET re2)
find_library(FARMHASH_LIBRARY NAMES libfarmhash.a farmhash REQUIRED)  # small: linked in where it can be
target_link_libraries(tenon_ops PUBLIC PkgConfig::RE2 ${FARMHASH_LIBRARY})
# JPEG files: the header alone; the library is opened when the first such file comes, so that Tenon runs without it too.
find_path(JPEG_INCLUDE jpeglib.h REQUIRED)
find_package(ZLIB REQUIRED)
target_link_libraries(tenon_ops PUBLIC ZLIB::ZLIB ${CMAKE_DL_LIBS})
if(NOT TENON_SANITIZE)
  # Element-wise loops and reductions are written so that the compiler can vectorise them; -O2 alone does not.
  set_source_files_properties(src/ops/binary.cc src/ops/unary.cc src/ops/cast.cc src/ops/reduce.cc src/ops/select.cc src/ops/matmul.cc
                              src/ops/conv.cc src/ops/image.cc src/ops/pool.cc src/ops/normalization.cc src/ops/softmax.cc
                              PROPERTIES COMPILE_OPTIONS "${TENON_HOT}")
  # Heavy templates that no model spends time in.
  set_source_files_properties(src/ops/linalg.cc src/ops/decompositions.cc PROPERTIES COMPILE_OPTIONS -O1)
endif()
