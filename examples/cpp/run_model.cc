// Opens a model, shows its inputs and outputs, and runs it on made-up values. usage: run_model MODEL
#include <tenon/random_inputs.h>
#include <tenon/session.h>

#include <cstdio>

namespace {

void print(const char* what, const std::vector<tenon::TensorSpec>& specs) {
  for (const tenon::TensorSpec& spec : specs) {
    std::printf("%s %s (%s)\n", what, spec.name.c_str(), std::string(tenon::dtype_name(spec.dtype)).c_str());
  }
}

// A value for an input; sizes that the model leaves open are 1.
tenon::Tensor make_input(const tenon::TensorSpec& spec) {
  std::vector<std::int64_t> sizes = spec.shape;
  for (std::int64_t& size : sizes) size = size < 0 ? 1 : size;
  return tenon::random_tensor(spec.dtype, tenon::Shape(sizes), /*seed=*/1);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return std::fprintf(stderr, "usage: run_model MODEL\n"), 2;
  try {
    tenon::Session session = tenon::Session::open(argv[1]);
    print("input", session.inputs());
    print("output", session.outputs());
    std::map<std::string, tenon::Tensor> feeds;
    for (const tenon::TensorSpec& spec : session.inputs()) feeds[spec.name] = make_input(spec);
    for (const auto& [name, tensor] : session.run(feeds)) {
      std::printf("%s = %s", name.c_str(), tensor.describe().c_str());
      if (tensor.dtype() == tenon::DataType::kFloat32 && tensor.num_elements() > 0) std::printf(", first %g", tensor.flat<float>()[0]);
      std::printf("\n");
    }
  } catch (const tenon::Error& error) {
    return std::fprintf(stderr, "%s: %s\n", tenon::error_code_name(error.code()), error.what()), 1;
  }
}
