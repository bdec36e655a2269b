target_compile_definitions(tenon_base PRIVATE TENON_VERSION="${PROJECT_VERSION}")
