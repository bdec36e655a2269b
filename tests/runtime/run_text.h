// Runs models written as text.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "import/graph_text.h"
#include "runtime/executor.h"
#include "runtime/resources.h"

namespace tenon::test {

class TextModel {
 public:
  using Clock = std::chrono::steady_clock;

  explicit TextModel(const std::string& nodes, const std::string& library = "", const importer::ImportOptions& options = {})
      : imported_(import_text(nodes, library, options)), services_(*imported_.module, {}, {}) {}

  const ir::Module& module() const { return *imported_.module; }
  ir::Node* find(std::string_view name) const { return imported_.find(name); }

  std::vector<Tensor> run(const std::vector<std::pair<std::string, Tensor>>& feeds, const std::vector<std::string>& fetches,
                          const std::vector<std::string>& targets = {}, const runtime::NodeObserver* observer = nullptr) {
    std::vector<ir::Value> fed_values;
    std::vector<Tensor> fed;
    std::vector<ir::Value> fetched;
    std::vector<ir::Node*> nodes;
    for (const auto& [name, tensor] : feeds) {
      fed_values.push_back(importer::find_tensor(module(), name));
      fed.push_back(tensor);
    }
    for (const std::string& name : fetches) fetched.push_back(importer::find_tensor(module(), name));
    for (const std::string& name : targets) nodes.push_back(find(name));
    const runtime::Executor executor(*module().main, fed_values, fetched, nodes, {});
    return executor.run(std::move(fed), services_, nullptr, observer);
  }
  float number(const std::vector<std::pair<std::string, Tensor>>& feeds, const std::string& fetch) {
    return run(feeds, {fetch}).at(0).flat<float>()[0];
  }
  std::int32_t integer(const std::vector<std::pair<std::string, Tensor>>& feeds, const std::string& fetch) {
    return run(feeds, {fetch}).at(0).flat<std::int32_t>()[0];
  }

 private:
  Imported imported_;
  runtime::SessionServices services_;
};

inline Tensor scalar(float value) { return Tensor::scalar(value); }

}  // namespace tenon::test
