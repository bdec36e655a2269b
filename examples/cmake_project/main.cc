// Converts a model, runs the original and the result on the same values, and says how far they are apart.
// usage: convert_and_run MODEL OUTPUT_FOLDER
#include <tenon/compare.h>
#include <tenon/convert.h>
#include <tenon/random_inputs.h>
#include <tenon/session.h>

#include <cstdio>

int main(int argc, char** argv) {
  if (argc != 3) return std::fprintf(stderr, "usage: convert_and_run MODEL OUTPUT_FOLDER\n"), 2;
  try {
    tenon::ConvertOptions options;
    options.force = true;
    const tenon::ConvertReport report = tenon::convert(argv[1], argv[2], options);
    std::printf("%zu engine(s) hold %d nodes, %d are native\n", report.engines.size(), report.converted_nodes, report.native_nodes);

    tenon::Session original = tenon::Session::open(argv[1]);
    tenon::Session converted = tenon::Session::open(argv[2]);
    std::map<std::string, tenon::Tensor> feeds;
    for (const tenon::TensorSpec& spec : original.inputs()) {
      std::vector<std::int64_t> sizes = spec.shape;
      for (std::int64_t& size : sizes) size = size < 0 ? 2 : size;
      feeds[spec.name] = tenon::random_tensor(spec.dtype, tenon::Shape(sizes), 1);
    }
    const auto wanted = original.run(feeds);
    const auto found = converted.run(feeds);
    for (const auto& [name, tensor] : wanted) {
      const tenon::Difference difference = tenon::compare(tensor, found.at(name));
      std::printf("%s: largest difference %g of %g\n", name.c_str(), difference.max_abs, difference.scale);
      if (!difference.comparable || difference.max_abs > 1e-4 * difference.scale) return 1;
    }
  } catch (const tenon::Error& error) {
    return std::fprintf(stderr, "%s\n", error.what()), 1;
  }
}
