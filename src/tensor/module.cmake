find_package(ZLIB REQUIRED)
target_link_libraries(tenon_tensor PUBLIC ZLIB::ZLIB)
