find_library(SNAPPY_LIBRARY NAMES libsnappy.a snappy REQUIRED)  # small: linked in where it can be
find_path(PROTOZERO_INCLUDE_DIR protozero/pbf_reader.hpp REQUIRED)
target_include_directories(tenon_savedmodel PRIVATE ${PROTOZERO_INCLUDE_DIR})
target_link_libraries(tenon_savedmodel PUBLIC ${SNAPPY_LIBRARY})
