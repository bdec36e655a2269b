#include "passes/one_dimension.h"

namespace tenon::passes {

bool is_single_row(const PartialShape& line, const PartialShape& image) {
  return line.known_rank() && image.known_rank() && line.rank() == 3 && image.rank() == 4 && image[1] == Dim(1) &&
         line[2] == image[3] && (line[1] == image[2] || line[0] == image[0]);
}

ir::Value widened(Editor& editor, ir::Value x, const std::string& name) {
  if (!shape_of(x).known_rank() || shape_of(x).rank() != 3) return {};
  const PartialShape &line = shape_of(x), image{line[0], 1, line[1], line[2]};
  const auto target = reshape_target(image);
  if (!target) return {};
  return editor.add("reshape", name, {x, editor.constant(int_vector(*target), name + "/shape")}, {}, {DataType::kFloat32, image})->output();
}

}  // namespace tenon::passes
