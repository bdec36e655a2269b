// Strings: case, white space, length, substrings, joining, splitting, base64, raw bytes.
#include <algorithm>
#include <cctype>
#include <cstring>
#include <optional>

#include "base/visit_dtype.h"
#include "ir/eval_context.h"
#include "ir/infer_context.h"
#include "ops/registry.h"
#include "ops/string_elements.h"
#include "ops/unicode_case.h"

namespace tenon::ops {
namespace {

using ir::EvalContext;
using ir::InferContext;

bool is_space(char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; }

// --- element by element

template <bool kUpper>
void evaluate_case(EvalContext& ctx) {
  const auto encoding = ctx.attrs().get_or<std::string>("encoding", "");
  if (!encoding.empty() && encoding != "utf-8") ctx.fail_node("encoding \"{}\", known are \"\" (ASCII) and \"utf-8\"", encoding);
  if (encoding == "utf-8") {
    map_strings<std::string>(ctx, [](const std::string& s) { return kUpper ? utf8_upper(s) : utf8_lower(s); });
    return;
  }
  map_strings<std::string>(ctx, [](std::string s) {
    for (char& c : s) {
      if (kUpper ? c >= 'a' && c <= 'z' : c >= 'A' && c <= 'Z') c = static_cast<char>(c ^ 0x20);
    }
    return s;
  });
}

void evaluate_strip(EvalContext& ctx) {
  map_strings<std::string>(ctx, [](const std::string& s) {
    const auto first = std::find_if_not(s.begin(), s.end(), is_space);
    const auto last = std::find_if_not(s.rbegin(), std::make_reverse_iterator(first), is_space).base();
    return std::string(first, last);
  });
}

bool counts_characters(const EvalContext& ctx) {
  const auto unit = ctx.attrs().get_or<std::string>("unit", "BYTE");
  if (unit != "BYTE" && unit != "UTF8_CHAR") ctx.fail_node("unit \"{}\", known are BYTE and UTF8_CHAR", unit);
  return unit == "UTF8_CHAR";
}

void evaluate_length(EvalContext& ctx) {
  const bool characters = counts_characters(ctx);
  map_strings<std::int32_t>(ctx, [&](const std::string& s) {
    const auto continuations = characters ? std::count_if(s.begin(), s.end(), is_utf8_continuation) : 0;
    return static_cast<std::int32_t>(static_cast<std::ptrdiff_t>(s.size()) - continuations);
  });
}

constexpr std::string_view kBase64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

std::string encode_base64(std::string_view bytes, bool pad) {
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t count = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t word = 0;
    for (std::size_t k = 0; k < 3; ++k) word = word << 8 | (k < count ? static_cast<unsigned char>(bytes[i + k]) : 0);
    for (std::size_t k = 0; k < 4; ++k) {
      if (k <= count) {
        text += kBase64[word >> (18 - 6 * k) & 63];
      } else if (pad) {
        text += '=';
      }
    }
  }
  return text;
}

// Nothing when the text is not web-safe base64, padded or not.
std::optional<std::string> decode_base64(std::string_view text) {
  if (text.ends_with("==")) {
    if (text.size() % 4 != 0) return std::nullopt;
    text.remove_suffix(2);
  } else if (text.ends_with('=')) {
    if (text.size() % 4 != 0) return std::nullopt;
    text.remove_suffix(1);
  }
  if (text.size() % 4 == 1) return std::nullopt;
  std::string bytes;
  std::uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const std::size_t digit = kBase64.find(c);
    if (digit == std::string_view::npos) return std::nullopt;
    bits = bits << 6 | static_cast<std::uint32_t>(digit);
    count += 6;
    if (count >= 8) {
      count -= 8;
      bytes += static_cast<char>(bits >> count & 0xff);
    }
  }
  return bytes;
}

void evaluate_encode_base64(EvalContext& ctx) {
  const bool pad = ctx.attrs().get_or<bool>("pad", false);
  map_strings<std::string>(ctx, [&](const std::string& s) { return encode_base64(s, pad); });
}

void evaluate_decode_base64(EvalContext& ctx) {
  map_strings<std::string>(ctx, [&](const std::string& s) {
    auto bytes = decode_base64(s);
    if (!bytes) ctx.fail_node("an element is not web-safe base64");
    return *std::move(bytes);
  });
}

// --- substrings: input, pos, len; pos and len have one shape, which broadcasts with the input's

void infer_substr(InferContext& ctx) {
  ctx.expect_inputs(3);
  ctx.set_output(0, DataType::kString, broadcast_shapes(ctx, ctx.input_shape(0), ctx.input_shape(1)));
}

// The byte where character `index` starts; the size for the one after the last; nothing beyond.
std::optional<std::size_t> character_start(std::string_view s, std::int64_t index) {
  for (std::size_t at = 0; at < s.size(); ++at) {
    if (is_utf8_continuation(s[at])) continue;
    if (index-- == 0) return at;
  }
  return index == 0 ? std::optional(s.size()) : std::nullopt;
}

std::optional<std::string> substring(const std::string& s, std::int64_t pos, std::int64_t len, bool characters) {
  if (!characters) {
    const auto size = static_cast<std::int64_t>(s.size());
    if (pos < 0) pos += size;
    if (pos < 0 || pos > size) return std::nullopt;
    return s.substr(static_cast<std::size_t>(pos), len < 0 ? std::string::npos : static_cast<std::size_t>(len));
  }
  if (pos < 0) pos += static_cast<std::int64_t>(s.size()) - std::count_if(s.begin(), s.end(), is_utf8_continuation);
  const auto first = pos < 0 ? std::nullopt : character_start(s, pos);
  if (!first) return std::nullopt;
  const std::string_view rest = std::string_view(s).substr(*first);
  return std::string(rest.substr(0, len < 0 ? rest.size() : character_start(rest, len).value_or(rest.size())));
}

// Offsets of the elements of a tensor of shape `from` as it broadcasts to `to`, in row-major order of `to`.
std::vector<std::int64_t> broadcast_offsets(const Shape& from, const Shape& to) {
  std::vector<std::int64_t> offsets(static_cast<std::size_t>(to.num_elements()));
  for (std::size_t i = 0; i < offsets.size(); ++i) {
    auto rest = static_cast<std::int64_t>(i);
    std::int64_t stride = 1;
    for (int d = to.rank() - 1; d >= 0; --d) {
      const int own = d - (to.rank() - from.rank());
      if (own >= 0) {
        if (from[own] != 1) offsets[i] += rest % to[d] * stride;
        stride *= from[own];
      }
      rest /= to[d];
    }
  }
  return offsets;
}

Shape broadcast(const EvalContext& ctx, const Shape& a, const Shape& b) {
  std::vector<std::int64_t> dims(static_cast<std::size_t>(std::max(a.rank(), b.rank())));
  for (std::size_t i = 0; i < dims.size(); ++i) {
    const int ia = a.rank() - 1 - static_cast<int>(i), ib = b.rank() - 1 - static_cast<int>(i);
    const std::int64_t da = ia < 0 ? 1 : a[ia], db = ib < 0 ? 1 : b[ib];
    if (da != db && da != 1 && db != 1) ctx.fail_node("shapes {} and {} do not broadcast", a.to_string(), b.to_string());
    dims[dims.size() - 1 - i] = da == 1 ? db : da;
  }
  return Shape(std::move(dims));
}

void evaluate_substr(EvalContext& ctx) {
  const bool characters = counts_characters(ctx);
  const auto in = strings_operand(ctx, 0);
  const std::vector<std::int64_t> pos = ctx.integers(1);
  const std::vector<std::int64_t> len = ctx.integers(2);
  if (ctx.input(1).shape() != ctx.input(2).shape()) ctx.fail_node("pos and len differ in shape");
  const Shape shape = broadcast(ctx, ctx.input(0).shape(), ctx.input(1).shape());
  const std::vector<std::int64_t> string_at = broadcast_offsets(ctx.input(0).shape(), shape);
  const std::vector<std::int64_t> pos_at = broadcast_offsets(ctx.input(1).shape(), shape);
  Tensor& out = ctx.allocate(0, DataType::kString, shape);
  for (std::size_t i = 0; i < string_at.size(); ++i) {
    const std::string& s = in[static_cast<std::size_t>(string_at[i])];
    const auto k = static_cast<std::size_t>(pos_at[i]);
    auto part = substring(s, pos[k], len[k], characters);
    if (!part) ctx.fail_node("pos {} is outside string {} of {} bytes", pos[k], string_at[i], s.size());
    out.flat<std::string>()[i] = *std::move(part);
  }
}

// --- joining

void infer_join(InferContext& ctx) {
  PartialShape shape = Shape{};
  for (int i = 0; i < ctx.num_inputs(); ++i) {
    const PartialShape& own = ctx.input_shape(i);
    if (!own.known_rank()) {
      shape = {};
      break;
    }
    if (own.rank() != 0) shape = shape.known_rank() && shape.rank() == 0 ? own : merge_shapes(ctx, shape, own);
  }
  ctx.set_output(0, DataType::kString, std::move(shape));
}

// Scalars join with every element of the others, which have one shape.
void evaluate_join(EvalContext& ctx) {
  const auto separator = ctx.attrs().get_or<std::string>("separator", "");
  if (ctx.num_inputs() == 0) ctx.fail_node("has no inputs");
  Shape shape;
  for (int i = 0; i < ctx.num_inputs(); ++i) {
    const Shape& own = ctx.input(i).shape();
    if (own.rank() == 0) continue;
    if (shape.rank() != 0 && own != shape) ctx.fail_node("inputs of shapes {} and {}", shape.to_string(), own.to_string());
    shape = own;
  }
  Tensor& out = ctx.allocate(0, DataType::kString, shape);
  const auto to = out.flat<std::string>();
  for (int i = 0; i < ctx.num_inputs(); ++i) {
    const auto in = strings_operand(ctx, i);
    const bool scalar = ctx.input(i).rank() == 0;
    for (std::size_t k = 0; k < to.size(); ++k) to[k].append(i == 0 ? "" : separator).append(in[scalar ? 0 : k]);
  }
}

void infer_reduce_join(InferContext& ctx) {
  const PartialShape& in = ctx.input_shape(0);
  const auto axes = ctx.constant_integers(1);
  const bool keep = ctx.attrs().get_or<bool>("keep_dims", false);
  if (!in.known_rank() || !axes) {
    ctx.set_output(0, DataType::kString, in.known_rank() && keep ? ctx.fresh_shape(in.rank()) : PartialShape{});
    return;
  }
  std::vector<bool> reduced(static_cast<std::size_t>(in.rank()));
  for (const std::int64_t axis : *axes) reduced[static_cast<std::size_t>(normalize_axis(ctx, axis, in.rank()))] = true;
  std::vector<Dim> dims;
  for (int i = 0; i < in.rank(); ++i) {
    if (!reduced[static_cast<std::size_t>(i)]) dims.push_back(in[i]);
    if (reduced[static_cast<std::size_t>(i)] && keep) dims.push_back(1);
  }
  ctx.set_output(0, DataType::kString, PartialShape(std::move(dims)));
}

// Joins along one axis, keeping it with size 1.
Tensor join_axis(const Tensor& in, int axis, const std::string& separator) {
  Shape shape = in.shape();
  std::int64_t outer = 1, inner = 1;
  for (int i = 0; i < axis; ++i) outer *= shape[i];
  for (int i = axis + 1; i < shape.rank(); ++i) inner *= shape[i];
  const std::int64_t count = shape[axis];
  shape[axis] = 1;
  Tensor out(DataType::kString, shape);
  const auto from = in.flat<std::string>();
  const auto to = out.flat<std::string>();
  for (std::int64_t o = 0; o < outer; ++o) {
    for (std::int64_t k = 0; k < count; ++k) {
      for (std::int64_t i = 0; i < inner; ++i) {
        to[static_cast<std::size_t>(o * inner + i)].append(k == 0 ? "" : separator).append(from[static_cast<std::size_t>((o * count + k) * inner + i)]);
      }
    }
  }
  return out;
}

// Axes are joined in the order they are listed.
void evaluate_reduce_join(EvalContext& ctx) {
  const auto separator = ctx.attrs().get_or<std::string>("separator", "");
  strings_operand(ctx, 0);
  Tensor result = ctx.input(0);
  const int rank = result.rank();
  std::vector<bool> reduced(static_cast<std::size_t>(rank));
  for (const std::int64_t listed : ctx.integers(1)) {
    const int axis = ctx.normalize_axis(listed, rank);
    if (reduced[static_cast<std::size_t>(axis)]) ctx.fail_node("axis {} is listed twice", axis);
    reduced[static_cast<std::size_t>(axis)] = true;
    result = join_axis(result, axis, separator);
  }
  if (!ctx.attrs().get_or<bool>("keep_dims", false)) {
    std::vector<std::int64_t> dims;
    for (int i = 0; i < rank; ++i) {
      if (!reduced[static_cast<std::size_t>(i)]) dims.push_back(result.dim(i));
    }
    result = result.reshaped(Shape(std::move(dims)));
  }
  ctx.set_output(0, std::move(result));
}

// --- splitting: the result is a sparse matrix of one row per string

using Pieces = std::vector<std::string_view>;

// Cuts at each of the characters; between all bytes when there are none.
Pieces split_at_characters(std::string_view s, std::string_view characters, bool skip_empty) {
  Pieces pieces;
  if (characters.empty()) {
    for (std::size_t i = 0; i < s.size(); ++i) pieces.push_back(s.substr(i, 1));
    return pieces;
  }
  while (!s.empty()) {
    const std::size_t end = s.find_first_of(characters);
    const std::string_view piece = s.substr(0, end);
    if (!skip_empty || !piece.empty()) pieces.push_back(piece);
    if (end == std::string_view::npos) break;
    s.remove_prefix(end + 1);
    if (s.empty() && !skip_empty) pieces.push_back(s);
  }
  return pieces;
}

// As Python's str.split: at runs of white space when the separator is empty.
Pieces split_at_text(std::string_view s, std::string_view separator, std::int64_t most) {
  if (most == 0) return {s};
  const bool white = separator.empty();
  const auto skip_white = [&] {
    while (white && !s.empty() && is_space(s.front())) s.remove_prefix(1);
  };
  Pieces pieces;
  for (skip_white(); !white || !s.empty();) {
    const bool last = most > 0 && static_cast<std::int64_t>(pieces.size()) == most;
    const auto white_end = static_cast<std::size_t>(std::find_if(s.begin(), s.end(), is_space) - s.begin());
    const std::size_t end = last ? s.size() : white ? white_end : std::min(s.find(separator), s.size());
    pieces.push_back(s.substr(0, end));
    if (end == s.size() && (last || !white)) return pieces;
    s.remove_prefix(white ? end : end + separator.size());
    skip_white();
    const bool reached = most > 0 && static_cast<std::int64_t>(pieces.size()) == most;
    if (white && reached && s.empty()) pieces.push_back(s);
  }
  return pieces;
}

void infer_split(InferContext& ctx) {
  const Dim count = ctx.fresh();
  ctx.set_output(0, DataType::kInt64, PartialShape{count, 2});
  ctx.set_output(1, DataType::kString, PartialShape{count});
  ctx.set_output(2, DataType::kInt64, Shape{2});
}

template <class Split>
void split_rows(EvalContext& ctx, Split&& split) {
  const auto in = strings_operand(ctx, 0);
  if (ctx.input(0).rank() != 1) ctx.fail_node("the input must be a vector, it is {}", ctx.input(0).describe());
  std::vector<std::int64_t> indices;
  std::vector<std::string> values;
  std::int64_t longest = 0;
  for (std::size_t row = 0; row < in.size(); ++row) {
    const Pieces pieces = split(in[row]);
    for (std::size_t k = 0; k < pieces.size(); ++k) {
      indices.insert(indices.end(), {static_cast<std::int64_t>(row), static_cast<std::int64_t>(k)});
      values.emplace_back(pieces[k]);
    }
    longest = std::max(longest, static_cast<std::int64_t>(pieces.size()));
  }
  const auto count = static_cast<std::int64_t>(values.size());
  ctx.set_output(0, Tensor::vector<std::int64_t>(indices).reshaped({count, 2}));
  ctx.set_output(1, Tensor::vector<std::string>(values));
  ctx.set_output(2, Tensor::vector<std::int64_t>(std::vector<std::int64_t>{static_cast<std::int64_t>(in.size()), longest}));
}

void evaluate_split(EvalContext& ctx) {
  const std::string& delimiter = string_scalar(ctx, 1);
  const bool skip_empty = ctx.attrs().get_or<bool>("skip_empty", true);
  split_rows(ctx, [&](const std::string& s) { return split_at_characters(s, delimiter, skip_empty); });
}

void evaluate_split_v2(EvalContext& ctx) {
  const std::string& separator = string_scalar(ctx, 1);
  const auto most = ctx.attrs().get_or<std::int64_t>("maxsplit", -1);
  split_rows(ctx, [&](const std::string& s) { return split_at_text(s, separator, most); });
}

// --- n-grams over ragged rows of strings

class NGrams {
 public:
  explicit NGrams(const EvalContext& ctx)
      : separator_(ctx.attrs().get<std::string>("separator")),
        left_(ctx.attrs().get<std::string>("left_pad")),
        right_(ctx.attrs().get<std::string>("right_pad")),
        pad_width_(ctx.attrs().get<std::int64_t>("pad_width")),
        widths_(ctx.attrs().get<std::vector<std::int64_t>>("ngram_widths")),
        keep_short_(ctx.attrs().get<bool>("preserve_short_sequences")) {
    for (const std::int64_t width : widths_) {
      if (width <= 0 || width > 1 << 20) ctx.fail_node("an n-gram width of {}", width);
    }
    if (pad_width_ > 1 << 20) ctx.fail_node("pad_width is {}", pad_width_);
  }

  void append_row(std::span<const std::string> row, std::vector<std::string>& out) const {
    const std::size_t before = out.size();
    const auto length = static_cast<std::int64_t>(row.size());
    for (const std::int64_t width : widths_) {
      const std::int64_t pad = pad_of(width);
      const std::int64_t count = length + 2 * pad - width + 1;
      for (std::int64_t i = 0; i < count; ++i) out.push_back(gram(row, i - pad, width));
    }
    if (keep_short_ && out.size() == before && length > 0) {
      const std::int64_t pad = std::max<std::int64_t>(pad_width_, 0);
      out.push_back(gram(row, -pad, length + 2 * pad));
    }
  }

 private:
  std::int64_t pad_of(std::int64_t width) const { return std::min(pad_width_ < 0 ? width - 1 : pad_width_, width - 1); }

  // The tokens [start, start + width) with padding for those outside the row.
  std::string gram(std::span<const std::string> row, std::int64_t start, std::int64_t width) const {
    std::string text;
    for (std::int64_t i = start; i < start + width; ++i) {
      if (i > start) text += separator_;
      text += i < 0 ? left_ : i >= static_cast<std::int64_t>(row.size()) ? right_ : row[static_cast<std::size_t>(i)];
    }
    return text;
  }

  std::string separator_, left_, right_;
  std::int64_t pad_width_;
  std::vector<std::int64_t> widths_;
  bool keep_short_;
};

void infer_ngrams(InferContext& ctx) {
  ctx.expect_inputs(2);
  ctx.set_output(0, DataType::kString, PartialShape{ctx.fresh()});
  ctx.set_output(1, ctx.input_dtype(1), ctx.input_shape(1));
}

Tensor integers_like(const Tensor& like, const std::vector<std::int64_t>& values) {
  if (like.dtype() == DataType::kInt64) return Tensor::vector<std::int64_t>(values);
  return Tensor::vector<std::int32_t>(std::vector<std::int32_t>(values.begin(), values.end()));
}

void evaluate_ngrams(EvalContext& ctx) {
  const auto data = strings_operand(ctx, 0);
  const std::vector<std::int64_t> splits = ctx.integers(1);
  const NGrams ngrams(ctx);
  std::vector<std::string> out;
  std::vector<std::int64_t> out_splits;
  if (!splits.empty()) out_splits.push_back(0);
  for (std::size_t i = 0; i < splits.size(); ++i) {
    const std::int64_t from = i == 0 ? 0 : splits[i - 1];
    if (splits[i] < from || splits[i] > static_cast<std::int64_t>(data.size()) || (i == 0 && splits[0] != 0)) {
      ctx.fail_node("data_splits[{}] = {} does not fit {} strings", i, splits[i], data.size());
    }
    if (i == 0) continue;
    ngrams.append_row(data.subspan(static_cast<std::size_t>(from), static_cast<std::size_t>(splits[i] - from)), out);
    out_splits.push_back(static_cast<std::int64_t>(out.size()));
  }
  if (!splits.empty() && splits.back() != static_cast<std::int64_t>(data.size())) {
    ctx.fail_node("data_splits ends with {}, there are {} strings", splits.back(), data.size());
  }
  ctx.set_output(0, Tensor::vector<std::string>(out));
  ctx.set_output(1, integers_like(ctx.input(1), out_splits));
}

// --- bytes as numbers

void infer_decode_raw(InferContext& ctx) {
  PartialShape shape = ctx.input_shape(0);
  if (shape.known_rank()) shape.dims().push_back(ctx.fresh());
  ctx.set_output(0, ctx.attrs().get<DataType>("out_type"), std::move(shape));
}

// With a second operand every string counts as that many bytes: longer ones are cut, shorter ones end in zeros.
void evaluate_decode_raw(EvalContext& ctx) {
  const auto in = strings_operand(ctx, 0);
  const auto type = ctx.attrs().get<DataType>("out_type");
  const bool swap = !ctx.attrs().get_or<bool>("little_endian", true);
  const bool padded = ctx.num_inputs() > 1;
  const auto element = static_cast<std::int64_t>(dtype_size(type));
  const std::int64_t bytes = padded ? ctx.integer(1) : in.empty() ? 0 : static_cast<std::int64_t>(in[0].size());
  if (bytes < 0 || bytes % element != 0 || (padded && bytes == 0)) ctx.fail_node("{} bytes are no multiple of {}", bytes, element);
  Shape shape = ctx.input(0).shape();
  shape.push_back(bytes / element);
  Tensor& out = ctx.allocate(0, type, shape);
  visit_dtype(PlainTypes{}, type, ctx.node().describe(), [](auto) {});
  char* to = static_cast<char*>(out.data());
  if (out.byte_size() > 0) std::memset(to, 0, out.byte_size());
  for (const std::string& s : in) {
    if (!padded && static_cast<std::int64_t>(s.size()) != bytes) ctx.fail_node("strings of {} and {} bytes", bytes, s.size());
    std::memcpy(to, s.data(), std::min(s.size(), static_cast<std::size_t>(bytes)));
    to += bytes;
  }
  if (!swap) return;
  const bool complex = type == DataType::kComplex64 || type == DataType::kComplex128;
  const std::int64_t unit = complex ? element / 2 : element;
  char* start = static_cast<char*>(out.data());
  for (char* p = start; p < to; p += unit) std::reverse(p, p + unit);
}

constexpr ir::OpDef kOps[] = {
    {"string_lower", infer_like_operand<DataType::kString>, evaluate_case<false>},
    {"string_upper", infer_like_operand<DataType::kString>, evaluate_case<true>},
    {"string_strip", infer_like_operand<DataType::kString>, evaluate_strip},
    {"string_length", infer_like_operand<DataType::kInt32>, evaluate_length},
    {"encode_base64", infer_like_operand<DataType::kString>, evaluate_encode_base64},
    {"decode_base64", infer_like_operand<DataType::kString>, evaluate_decode_base64},
    {"substr", infer_substr, evaluate_substr},
    {"string_join", infer_join, evaluate_join},
    {"reduce_join", infer_reduce_join, evaluate_reduce_join},
    {"string_split", infer_split, evaluate_split},
    {"string_split_v2", infer_split, evaluate_split_v2},
    {"string_ngrams", infer_ngrams, evaluate_ngrams},
    {"decode_raw", infer_decode_raw, evaluate_decode_raw},
};

constexpr ImportRule kRules[] = {
    {"StringLower", "string_lower"},
    {"StringUpper", "string_upper"},
    {"StringStrip", "string_strip"},
    {"StringLength", "string_length"},
    {"EncodeBase64", "encode_base64"},
    {"DecodeBase64", "decode_base64"},
    {"Substr", "substr"},
    {"StringJoin", "string_join"},
    {"ReduceJoin", "reduce_join"},
    {"StringSplit", "string_split"},
    {"StringSplitV2", "string_split_v2"},
    {"StringNGrams", "string_ngrams"},
    {"DecodeRaw", "decode_raw"},
    {"DecodePaddedRaw", "decode_raw"},
};

}  // namespace

const OpFamily& strings_family() {
  static const OpFamily family{"strings", kOps, kRules};
  return family;
}

}  // namespace tenon::ops
