// Choosing among overlapping boxes, and drawing boxes.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <queue>

#include "ops/elementwise.h"
#include "ops/operands.h"
#include "ops/registry.h"
#include "ops/walk.h"

namespace tenon::ops {
namespace {

using ir::EvalContext;
using ir::InferContext;

std::vector<float> floats(const Tensor& tensor) {
  std::vector<float> values;
  visit_dtype(TypeList<float, Half>{}, tensor.dtype(), "non_max_suppression", [&](auto tag) {
    using T = typename decltype(tag)::type;
    const auto from = tensor.flat<T>();
    values.assign(from.begin(), from.end());
  });
  return values;
}

float scalar(const EvalContext& ctx, int i) {
  const std::vector<float> values = floats(ctx.input(i));
  if (values.size() != 1 || ctx.input(i).rank() != 0)
    ctx.fail_node("input {} must be a scalar, it is {}", i, ctx.input(i).describe());
  return values[0];
}

// Intersection over union of two boxes, each two opposite corners (y, x).
float overlap(const float* a, const float* b) {
  const float a_top = std::min(a[0], a[2]), a_left = std::min(a[1], a[3]), a_bottom = std::max(a[0], a[2]),
              a_right = std::max(a[1], a[3]);
  const float b_top = std::min(b[0], b[2]), b_left = std::min(b[1], b[3]), b_bottom = std::max(b[0], b[2]),
              b_right = std::max(b[1], b[3]);
  const float a_area = (a_bottom - a_top) * (a_right - a_left), b_area = (b_bottom - b_top) * (b_right - b_left);
  if (a_area <= 0 || b_area <= 0) return 0;
  const float height = std::max(std::min(a_bottom, b_bottom) - std::max(a_top, b_top), 0.0f);
  const float width = std::max(std::min(a_right, b_right) - std::max(a_left, b_left), 0.0f);
  const float both = height * width;
  return both / (a_area + b_area - both);
}

struct Thresholds {
  float overlap, score = std::numeric_limits<float>::lowest(), sigma = 0;
};

struct Selection {
  std::vector<std::int64_t> boxes;
  std::vector<float> scores;
};

// Greedy choice: best score first (ties: lower number), dropping what overlaps a chosen box by more than the threshold, or,
// with sigma > 0, lowering its score by exp(-overlap^2 / (2 sigma)) and letting it try again.
template <class Overlap>
Selection select_boxes(const std::vector<float>& scores, std::int64_t most, const Thresholds& limits, Overlap&& overlap_of) {
  struct Candidate {
    float score;
    std::int64_t box;
    std::size_t compared;  // how many chosen boxes its score already accounts for
    bool operator<(const Candidate& other) const { return score < other.score || (score == other.score && box > other.box); }
  };
  std::priority_queue<Candidate> queue;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    if (scores[i] > limits.score) queue.push({scores[i], static_cast<std::int64_t>(i), 0});
  }
  const bool soft = limits.sigma > 0;
  Selection chosen;
  while (static_cast<std::int64_t>(chosen.boxes.size()) < most && !queue.empty()) {
    Candidate next = queue.top();
    queue.pop();
    const float before = next.score;
    bool dropped = false;
    for (std::size_t j = chosen.boxes.size(); j-- > next.compared && !dropped;) {
      const float similarity = overlap_of(next.box, chosen.boxes[j]);
      if (soft) {
        next.score *= std::exp(-0.5f / limits.sigma * similarity * similarity);
      } else if (similarity > limits.overlap) {
        dropped = true;
      }
      if (next.score <= limits.score) break;
    }
    next.compared = chosen.boxes.size();
    if (dropped) continue;
    if (next.score == before) {
      chosen.boxes.push_back(next.box);
      chosen.scores.push_back(next.score);
    } else if (next.score > limits.score) {
      queue.push(next);
    }
  }
  return chosen;
}

void store_padded(EvalContext& ctx, int output, const std::vector<std::int64_t>& values, std::int64_t size) {
  Tensor& tensor = ctx.allocate(output, DataType::kInt32, Shape{size});
  set_zero(tensor);
  for (std::size_t i = 0; i < values.size(); ++i) tensor.flat<std::int32_t>()[i] = static_cast<std::int32_t>(values[i]);
}

// non_max_suppression: boxes [N,4], scores [N], largest count, then perhaps overlap threshold (else attribute
// iou_threshold), score threshold, sigma. Outputs the indices; with attribute outputs >= 3 their scores; with attribute
// outputs >= 2 last the count. non_max_suppression_with_overlaps: overlaps [N,N] instead of boxes.
int output_kinds(const ir::Attrs& attrs) { return static_cast<int>(attrs.get_or<std::int64_t>("outputs", 1)); }

void infer_non_max_suppression(InferContext& ctx) {
  ctx.expect_inputs(3, 6);
  ctx.expect_rank(0, 2);
  ctx.expect_rank(1, 1);
  const int kinds = output_kinds(ctx.attrs());
  const auto most = ctx.dims(2);
  const bool padded = kinds >= 2 && ctx.attrs().get_or<bool>("pad_to_max_output_size", false);
  const Dim count = padded && most && most->size() == 1 ? (*most)[0] : ctx.fresh();
  ctx.set_output(0, DataType::kInt32, PartialShape{count});
  if (kinds >= 3) ctx.set_output(1, ctx.input_dtype(1), PartialShape{count});
  if (kinds >= 2) ctx.set_output(kinds - 1, DataType::kInt32, Shape{});
}

void evaluate_non_max_suppression(EvalContext& ctx) {
  expect_rank(ctx, 0, 2);
  expect_rank(ctx, 1, 1);
  const Tensor& boxes = ctx.input(0);
  const bool given_overlaps = ctx.attrs().get_or<bool>("overlaps", false);
  const std::int64_t count = boxes.dim(0);
  if (boxes.dim(1) != (given_overlaps ? count : 4) || ctx.input(1).dim(0) != count) {
    ctx.fail_node("boxes are {} for scores {}", boxes.describe(), ctx.input(1).describe());
  }
  expect_rank(ctx, 2, 0);
  const std::int64_t most = ctx.integer(2);
  if (most < 0) ctx.fail_node("max_output_size is {}", most);
  Thresholds limits{ctx.num_inputs() > 3 ? scalar(ctx, 3) : ctx.attrs().get_or<float>("iou_threshold", 0.5f)};
  if (ctx.num_inputs() > 4) limits.score = scalar(ctx, 4);
  if (ctx.num_inputs() > 5) limits.sigma = scalar(ctx, 5);
  if (!given_overlaps && !(limits.overlap >= 0 && limits.overlap <= 1))
    ctx.fail_node("iou_threshold {} is outside [0, 1]", limits.overlap);
  if (limits.sigma < 0) ctx.fail_node("soft_nms_sigma {} is negative", limits.sigma);
  const std::vector<float> corners = floats(boxes);
  const Selection chosen = select_boxes(floats(ctx.input(1)), most, limits, [&](std::int64_t a, std::int64_t b) {
    return given_overlaps ? corners[static_cast<std::size_t>(a * count + b)]
                          : overlap(corners.data() + a * 4, corners.data() + b * 4);
  });
  const int kinds = output_kinds(ctx.attrs());
  const bool padded = kinds >= 2 && ctx.attrs().get_or<bool>("pad_to_max_output_size", false);
  const auto found = static_cast<std::int64_t>(chosen.boxes.size());
  store_padded(ctx, 0, chosen.boxes, padded ? most : found);
  if (kinds >= 2) ctx.set_output(kinds - 1, Tensor::scalar<std::int32_t>(static_cast<std::int32_t>(found)));
  if (kinds < 3) return;
  Tensor& scores = ctx.allocate(1, ctx.input(1).dtype(), ctx.output(0).shape());
  set_zero(scores);
  visit_dtype(TypeList<float, Half>{}, scores.dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    for (std::size_t i = 0; i < chosen.scores.size(); ++i) scores.flat<T>()[i] = static_cast<T>(chosen.scores[i]);
  });
}

// combined_non_max_suppression: boxes [B,N,q,4] (q: 1 or one per class), scores [B,N,classes], largest counts per class and
// in all, overlap and score thresholds. Outputs boxes [B,D,4], scores, classes [B,D] and how many are valid [B].
std::int64_t combined_size(const ir::Attrs& attrs, std::int64_t per_class, std::int64_t total, std::int64_t classes) {
  if (!attrs.get_or<bool>("pad_per_class", false)) return total;
  std::int64_t all = 0;
  return __builtin_mul_overflow(per_class, classes, &all) ? total : std::min(total, all);
}

void infer_combined(InferContext& ctx) {
  ctx.expect_inputs(6);
  ctx.expect_rank(0, 4);
  ctx.expect_rank(1, 3);
  const Dim batch = ctx.input_shape(0).known_rank() ? ctx.input_shape(0)[0] : ctx.fresh();
  const auto per_class = known_integer(ctx, 2), total = known_integer(ctx, 3);
  const Dim classes = ctx.input_shape(1).known_rank() ? ctx.input_shape(1)[2] : ctx.fresh();
  Dim size = ctx.fresh();
  if (per_class && total && *per_class > 0 && *total > 0 && classes.known())
    size = combined_size(ctx.attrs(), *per_class, *total, classes.size());
  ctx.set_output(0, DataType::kFloat32, PartialShape{batch, size, 4});
  ctx.set_output(1, DataType::kFloat32, PartialShape{batch, size});
  ctx.set_output(2, DataType::kFloat32, PartialShape{batch, size});
  ctx.set_output(3, DataType::kInt32, PartialShape{batch});
}

struct Detection {
  float score;
  std::int64_t cls;
  const float* box;
};

// The chosen boxes of one image, best first. Classes are worked on in parallel.
std::vector<Detection> detect(ThreadTeam* team, const float* boxes, const float* scores, std::int64_t count,
                              std::int64_t box_classes, std::int64_t classes, std::int64_t per_class, const Thresholds& limits) {
  std::vector<std::vector<Detection>> by_class(static_cast<std::size_t>(classes));
  for_shares(team, classes, 1, [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> own(static_cast<std::size_t>(count));
    for (std::int64_t cls = begin; cls < end; ++cls) {
      for (std::int64_t i = 0; i < count; ++i) own[static_cast<std::size_t>(i)] = scores[i * classes + cls];
      const auto box_of = [&](std::int64_t i) { return boxes + (i * box_classes + (box_classes == 1 ? 0 : cls)) * 4; };
      const auto compare = [&](std::int64_t a, std::int64_t b) { return overlap(box_of(a), box_of(b)); };
      const Selection chosen = select_boxes(own, per_class, limits, compare);
      for (std::size_t i = 0; i < chosen.boxes.size(); ++i) {
        by_class[static_cast<std::size_t>(cls)].push_back({chosen.scores[i], cls, box_of(chosen.boxes[i])});
      }
    }
  });
  std::vector<Detection> found;
  for (const std::vector<Detection>& part : by_class) found.insert(found.end(), part.begin(), part.end());
  std::ranges::stable_sort(found, [](const Detection& a, const Detection& b) { return a.score > b.score; });
  return found;
}

void evaluate_combined(EvalContext& ctx) {
  expect_rank(ctx, 0, 4);
  expect_rank(ctx, 1, 3);
  for (int i = 2; i < 6; ++i) expect_rank(ctx, i, 0);
  const Shape boxes = ctx.input(0).shape(), scores = ctx.input(1).shape();
  const std::int64_t classes = scores[2], per_class = ctx.integer(2), total = ctx.integer(3);
  if (boxes[3] != 4 || (boxes[2] != 1 && boxes[2] != classes) || boxes[0] != scores[0] || boxes[1] != scores[1]) {
    ctx.fail_node("boxes {} do not fit scores {}", boxes.to_string(), scores.to_string());
  }
  if (per_class <= 0 || total <= 0) ctx.fail_node("at most {} boxes per class and {} in all are wanted", per_class, total);
  const Thresholds limits{scalar(ctx, 4), scalar(ctx, 5)};
  if (!(limits.overlap >= 0 && limits.overlap <= 1)) ctx.fail_node("iou_threshold {} is outside [0, 1]", limits.overlap);
  const bool clip = ctx.attrs().get_or<bool>("clip_boxes", true);
  const std::int64_t size = combined_size(ctx.attrs(), per_class, total, classes);
  const Shape shapes[] = {Shape{boxes[0], size, 4}, Shape{boxes[0], size}, Shape{boxes[0], size}, Shape{boxes[0]}};
  for (int i = 0; i < 4; ++i) set_zero(ctx.allocate(i, i == 3 ? DataType::kInt32 : DataType::kFloat32, shapes[i]));
  for (std::int64_t b = 0; b < boxes[0]; ++b) {
    std::vector<Detection> found =
        detect(ctx.team(), ctx.input(0).flat<float>().data() + b * boxes[1] * boxes[2] * 4,
               ctx.input(1).flat<float>().data() + b * boxes[1] * classes, boxes[1], boxes[2], classes, per_class, limits);
    if (static_cast<std::int64_t>(found.size()) > size) found.resize(static_cast<std::size_t>(size));
    for (std::size_t i = 0; i < found.size(); ++i) {
      const auto at = static_cast<std::size_t>(b * size) + i;
      for (std::size_t k = 0; k < 4; ++k)
        ctx.output(0).flat<float>()[at * 4 + k] = clip ? std::clamp(found[i].box[k], 0.0f, 1.0f) : found[i].box[k];
      ctx.output(1).flat<float>()[at] = found[i].score;
      ctx.output(2).flat<float>()[at] = static_cast<float>(found[i].cls);
    }
    ctx.output(3).flat<std::int32_t>()[static_cast<std::size_t>(b)] = static_cast<std::int32_t>(found.size());
  }
}

// draw_bounding_boxes: images [N,H,W,C], boxes [N,M,4] (y1, x1, y2, x2 as parts of the image), perhaps colours [K, C].
void infer_draw(InferContext& ctx) {
  ctx.expect_inputs(2, 3);
  ctx.expect_rank(0, 4);
  ctx.expect_rank(1, 3);
  ctx.set_output(0, ctx.input_dtype(0), ctx.input_shape(0));
}

using Colour = std::array<float, 4>;

std::vector<Colour> colours(const EvalContext& ctx, std::int64_t channels) {
  std::vector<Colour> table{{1, 1, 0, 1},     {0, 0, 1, 1},   {1, 0, 0, 1},   {0, 1, 0, 1}, {0.5, 0, 0.5, 1},
                            {0.5, 0.5, 0, 1}, {0.5, 0, 0, 1}, {0, 0, 0.5, 1}, {0, 1, 1, 1}, {1, 0, 1, 1}};
  if (channels == 1) {
    for (Colour& colour : table) colour[0] = 1;
  }
  if (ctx.num_inputs() == 3 && ctx.input(2).num_elements() > 0) {
    const Tensor& given = ctx.input(2);
    if (given.rank() != 2 || given.dim(1) < std::min<std::int64_t>(channels, 4))
      ctx.fail_node("colours are {} for {} channels", given.describe(), channels);
    table.assign(static_cast<std::size_t>(given.dim(0)), Colour{});
    const auto values = given.flat<float>();
    for (std::size_t i = 0; i < table.size(); ++i) {
      for (std::size_t c = 0; c < std::min<std::size_t>(4, static_cast<std::size_t>(given.dim(1))); ++c) {
        table[i][c] = values[i * static_cast<std::size_t>(given.dim(1)) + c];
      }
    }
  }
  return table;
}

// One image being drawn on.
template <class T>
struct Canvas {
  T* pixels;
  std::int64_t height, width, channels;

  void dot(std::int64_t y, std::int64_t x, const Colour& colour) {
    for (std::int64_t c = 0; c < std::min<std::int64_t>(channels, 4); ++c) {
      pixels[(y * width + x) * channels + c] = static_cast<T>(colour[static_cast<std::size_t>(c)]);
    }
  }
  void box(const float* corners, const Colour& colour) {
    const auto limit = static_cast<float>(std::int64_t{1} << 40);
    const auto place = [&](int i, std::int64_t size) {
      return static_cast<std::int64_t>(std::clamp(corners[i] * static_cast<float>(size - 1), -limit, limit));
    };
    const std::int64_t top = place(0, height), left = place(1, width), bottom = place(2, height), right = place(3, width);
    if (top > bottom || left > right || top >= height || bottom < 0 || left >= width || right < 0) return;
    const std::int64_t y0 = std::max<std::int64_t>(top, 0), y1 = std::min(bottom, height - 1);
    const std::int64_t x0 = std::max<std::int64_t>(left, 0), x1 = std::min(right, width - 1);
    for (std::int64_t x = x0; x <= x1; ++x) {
      if (top >= 0) dot(top, x, colour);
      if (bottom < height) dot(bottom, x, colour);
    }
    for (std::int64_t y = y0; y <= y1; ++y) {
      if (left >= 0) dot(y, left, colour);
      if (right < width) dot(y, right, colour);
    }
  }
};

void evaluate_draw(EvalContext& ctx) {
  expect_rank(ctx, 0, 4);
  expect_rank(ctx, 1, 3);
  const Shape boxes = ctx.input(1).shape();
  Tensor output = ctx.input(0).clone();
  if (boxes[0] != output.dim(0) || boxes[2] != 4) ctx.fail_node("boxes are {} for {}", boxes.to_string(), output.describe());
  const std::vector<Colour> table = colours(ctx, output.dim(3));
  const std::int64_t pixels = output.dim(1) * output.dim(2) * output.dim(3);
  visit_dtype(TypeList<float, Half>{}, output.dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    for (std::int64_t n = 0; n < boxes[0] && pixels > 0; ++n) {
      Canvas<T> canvas{output.flat<T>().data() + n * pixels, output.dim(1), output.dim(2), output.dim(3)};
      for (std::int64_t b = 0; b < boxes[1]; ++b) {
        canvas.box(ctx.input(1).flat<float>().data() + (n * boxes[1] + b) * 4,
                   table[static_cast<std::size_t>(b) % table.size()]);
      }
    }
  });
  ctx.set_output(0, std::move(output));
}

void two_outputs(ir::Attrs& attrs) { attrs.set("outputs", std::int64_t{2}); }
void three_outputs(ir::Attrs& attrs) { attrs.set("outputs", std::int64_t{3}); }
void overlaps(ir::Attrs& attrs) { attrs.set("overlaps", true); }

constexpr ir::OpDef kOps[] = {
    {"non_max_suppression", infer_non_max_suppression, evaluate_non_max_suppression},
    {"combined_non_max_suppression", infer_combined, evaluate_combined},
    {"draw_bounding_boxes", infer_draw, evaluate_draw},
};

constexpr ImportRule kRules[] = {
    {"NonMaxSuppression", "non_max_suppression"},
    {"NonMaxSuppressionV2", "non_max_suppression"},
    {"NonMaxSuppressionV3", "non_max_suppression"},
    {"NonMaxSuppressionV4", "non_max_suppression", two_outputs},
    {"NonMaxSuppressionV5", "non_max_suppression", three_outputs},
    {"NonMaxSuppressionWithOverlaps", "non_max_suppression", overlaps},
    {"CombinedNonMaxSuppression", "combined_non_max_suppression"},
    {"DrawBoundingBoxes", "draw_bounding_boxes"},
    {"DrawBoundingBoxesV2", "draw_bounding_boxes"},
};

}  // namespace

const OpFamily& detection_family() {
  static const OpFamily family{"detection", kOps, kRules};
  return family;
}

}  // namespace tenon::ops
