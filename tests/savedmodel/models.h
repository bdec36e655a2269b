// Where the real models lie that tests may read; they are not part of the project.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

namespace tenon::testing {

// The folder of real models: $TENON_MODELS, else ../shared/models seen from the project; empty when there is none.
inline std::filesystem::path models_directory() {
  if (const char* named = std::getenv("TENON_MODELS")) return named;
  const std::filesystem::path source(TENON_SOURCE_DIR);
  for (const char* candidate : {"../shared/models", "../../shared/models"}) {
    if (std::filesystem::is_directory(source / candidate)) return source / candidate;
  }
  return {};
}

// Every SavedModel folder and frozen graph below it, sorted.
inline std::vector<std::filesystem::path> all_models() {
  std::vector<std::filesystem::path> found;
  const std::filesystem::path root = models_directory();
  if (root.empty()) return found;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    const std::string name = entry.path().filename().string();
    if (name == "saved_model.pb" || name == "saved_model.pbtxt") {
      found.push_back(entry.path().parent_path());
    } else if (name.ends_with(".pb") && name != "fingerprint.pb" && name != "keras_metadata.pb") {
      found.push_back(entry.path());
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace tenon::testing
