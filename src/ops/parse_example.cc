// tf.train.Example protobufs to dense, sparse and ragged tensors.
#include <algorithm>
#include <protozero/pbf_reader.hpp>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "ir/eval_context.h"
#include "ir/infer_context.h"
#include "ops/element_shape.h"
#include "ops/elements.h"
#include "ops/registry.h"

namespace tenon::ops {
namespace {

using ir::EvalContext;
using ir::InferContext;

struct Feature {
  std::string key;
  DataType dtype = DataType::kInvalid;
};

// What the node asks for, in the order of its results.
struct Plan {
  std::vector<Feature> sparse;
  std::vector<Feature> dense;
  std::vector<Feature> ragged;
  std::vector<PartialShape> dense_shapes;
  std::vector<DataType> split_types;
  int first_default = 0;  // operand of the first dense feature's default
  bool single = false;    // one example instead of a batch
};

// Values of one feature, of many examples one after the other.
struct Column {
  std::vector<float> floats;
  std::vector<std::int64_t> integers;
  std::vector<std::string> strings;
  std::vector<std::int64_t> counts;  // per example

  std::int64_t size() const { return static_cast<std::int64_t>(floats.size() + integers.size() + strings.size()); }
  Tensor values(DataType dtype) const {
    switch (dtype) {
      case DataType::kFloat32:
        return Tensor::vector<float>(floats);
      case DataType::kInt64:
        return Tensor::vector<std::int64_t>(integers);
      default:
        return Tensor::vector<std::string>(strings);
    }
  }
};

enum class Kind { kNone = 0, kBytes = 1, kFloats = 2, kIntegers = 3 };

Kind kind_of(DataType dtype) {
  return dtype == DataType::kFloat32 ? Kind::kFloats : dtype == DataType::kInt64 ? Kind::kIntegers : Kind::kBytes;
}

std::string_view view(protozero::data_view data) { return {data.data(), data.size()}; }

void read_bytes(std::string_view list, Column& column) {
  protozero::pbf_reader reader(list.data(), list.size());
  while (reader.next()) {
    if (reader.tag() == 1 && reader.wire_type() == protozero::pbf_wire_type::length_delimited) {
      column.strings.emplace_back(view(reader.get_view()));
    } else {
      reader.skip();
    }
  }
}

void read_floats(std::string_view list, Column& column) {
  protozero::pbf_reader reader(list.data(), list.size());
  while (reader.next()) {
    if (reader.tag() == 1 && reader.wire_type() == protozero::pbf_wire_type::length_delimited) {
      const auto range = reader.get_packed_float();
      column.floats.insert(column.floats.end(), range.begin(), range.end());
    } else if (reader.tag() == 1 && reader.wire_type() == protozero::pbf_wire_type::fixed32) {
      column.floats.push_back(reader.get_float());
    } else {
      reader.skip();
    }
  }
}

void read_integers(std::string_view list, Column& column) {
  protozero::pbf_reader reader(list.data(), list.size());
  while (reader.next()) {
    if (reader.tag() == 1 && reader.wire_type() == protozero::pbf_wire_type::length_delimited) {
      const auto range = reader.get_packed_int64();
      column.integers.insert(column.integers.end(), range.begin(), range.end());
    } else if (reader.tag() == 1 && reader.wire_type() == protozero::pbf_wire_type::varint) {
      column.integers.push_back(reader.get_int64());
    } else {
      reader.skip();
    }
  }
}

// Appends the values of a Feature message; false when it holds none of any kind. Throws via ctx for another kind than wanted.
bool read_feature(const EvalContext& ctx, const Feature& wanted, std::string_view message, Column& column) {
  Kind kind = Kind::kNone;
  std::string_view list;
  protozero::pbf_reader reader(message.data(), message.size());
  while (reader.next()) {
    if (reader.wire_type() == protozero::pbf_wire_type::length_delimited && reader.tag() >= 1 && reader.tag() <= 3) {
      kind = static_cast<Kind>(reader.tag());
      list = view(reader.get_view());
    } else {
      reader.skip();
    }
  }
  if (kind == Kind::kNone) return false;
  if (kind != kind_of(wanted.dtype)) {
    constexpr const char* kNames[] = {"", "string", "float32", "int64"};
    ctx.fail_node("feature \"{}\" holds {}, wanted is {}", wanted.key, kNames[static_cast<int>(kind)], dtype_name(wanted.dtype));
  }
  if (kind == Kind::kBytes) read_bytes(list, column);
  if (kind == Kind::kFloats) read_floats(list, column);
  if (kind == Kind::kIntegers) read_integers(list, column);
  return true;
}

// The features of one Example by name; the last one of a name counts.
using FeatureMap = std::unordered_map<std::string_view, std::string_view>;

void read_features(std::string_view message, FeatureMap& features) {
  protozero::pbf_reader reader(message.data(), message.size());
  while (reader.next(1, protozero::pbf_wire_type::length_delimited)) {
    protozero::pbf_reader entry(reader.get_view());
    std::string_view key, value;
    while (entry.next()) {
      if (entry.tag() == 1 && entry.wire_type() == protozero::pbf_wire_type::length_delimited) {
        key = view(entry.get_view());
      } else if (entry.tag() == 2 && entry.wire_type() == protozero::pbf_wire_type::length_delimited) {
        value = view(entry.get_view());
      } else {
        entry.skip();
      }
    }
    features[key] = value;
  }
}

FeatureMap read_example(std::string_view example) {
  FeatureMap features;
  protozero::pbf_reader reader(example.data(), example.size());
  while (reader.next(1, protozero::pbf_wire_type::length_delimited)) read_features(view(reader.get_view()), features);
  return features;
}

// The length of a dense feature varies when its first dimension is not known.
bool is_variable(const PartialShape& shape) { return shape.known_rank() && shape.rank() > 0 && !shape[0].known(); }

Shape row_shape(const EvalContext& ctx, const PartialShape& shape) {
  PartialShape fixed = shape;
  if (is_variable(shape)) fixed = without_rows(shape);
  if (!fixed.fully_known()) ctx.fail_node("dense_shapes has {}; only the first dimension may be unknown", shape.to_string());
  return fixed.to_shape();
}

class Parser {
 public:
  Parser(EvalContext& ctx, const Plan& plan, std::vector<std::string_view> examples)
      : ctx_(ctx), plan_(plan), examples_(std::move(examples)) {}

  void run() {
    sparse_.resize(plan_.sparse.size());
    dense_.resize(plan_.dense.size());
    ragged_.resize(plan_.ragged.size());
    for (at_ = 0; at_ < examples_.size(); ++at_) {
      try {
        parse_one(read_example(examples_[at_]));
      } catch (const protozero::exception&) {
        ctx_.fail_node("serialized example {} is not a valid tf.train.Example", at_);
      }
    }
    int output = 0;
    const int sparse = static_cast<int>(sparse_.size());
    for (int i = 0; i < sparse; ++i) emit_sparse(i, sparse);
    output = 3 * sparse;
    for (std::size_t i = 0; i < dense_.size(); ++i) ctx_.set_output(output++, dense_tensor(i));
    for (std::size_t i = 0; i < ragged_.size(); ++i) ctx_.set_output(output++, ragged_[i].values(plan_.ragged[i].dtype));
    for (std::size_t i = 0; i < ragged_.size(); ++i) ctx_.set_output(output++, row_splits(i));
  }

 private:
  void parse_one(const FeatureMap& features) {
    for (std::size_t i = 0; i < sparse_.size(); ++i) append(features, plan_.sparse[i], sparse_[i]);
    for (std::size_t i = 0; i < ragged_.size(); ++i) append(features, plan_.ragged[i], ragged_[i]);
    for (std::size_t i = 0; i < dense_.size(); ++i) append_dense(features, i);
  }

  bool append(const FeatureMap& features, const Feature& wanted, Column& column) {
    const std::int64_t before = column.size();
    const auto it = features.find(wanted.key);
    const bool found = it != features.end() && read_feature(ctx_, wanted, it->second, column);
    column.counts.push_back(column.size() - before);
    return found;
  }

  const Tensor& fallback(std::size_t i) const { return ctx_.input(plan_.first_default + static_cast<int>(i)); }

  void append_dense(const FeatureMap& features, std::size_t i) {
    const Feature& wanted = plan_.dense[i];
    const std::int64_t row = row_shape(ctx_, plan_.dense_shapes[i]).num_elements();
    const bool variable = is_variable(plan_.dense_shapes[i]);
    const bool found = append(features, wanted, dense_[i]);
    const std::int64_t count = dense_[i].counts.back();
    if (!found) {
      if (!variable && fallback(i).num_elements() == 0) {
        ctx_.fail_node("example {}: feature \"{}\" ({}) is required but is not there", at_, wanted.key, dtype_name(wanted.dtype));
      }
      dense_[i].counts.back() = variable ? 0 : -1;
    } else if (variable ? row == 0 || count % row != 0 : count != row) {
      ctx_.fail_node("example {}: feature \"{}\" has {} values, {}{} are needed", at_, wanted.key, count, variable ? "multiples of " : "",
                     row);
    }
  }

  std::vector<std::int64_t> batch() const {
    if (plan_.single) return {};
    return {static_cast<std::int64_t>(examples_.size())};
  }

  Tensor dense_tensor(std::size_t i) const {
    const Column& column = dense_[i];
    const PartialShape& declared = plan_.dense_shapes[i];
    const Shape row = row_shape(ctx_, declared);
    std::vector<std::int64_t> dims = batch();
    if (is_variable(declared)) {
      const auto longest = std::max_element(column.counts.begin(), column.counts.end());
      dims.push_back(longest == column.counts.end() || *longest == 0 ? 0 : *longest / row.num_elements());
    }
    dims.insert(dims.end(), row.begin(), row.end());
    Tensor out = zeros(plan_.dense[i].dtype, Shape(std::move(dims)));
    const Tensor values = column.values(plan_.dense[i].dtype);
    const std::int64_t size = examples_.empty() ? 0 : out.num_elements() / static_cast<std::int64_t>(examples_.size());
    std::int64_t from = 0;
    for (std::size_t e = 0; e < examples_.size(); ++e) {
      const std::int64_t at = static_cast<std::int64_t>(e) * size;
      const std::int64_t count = column.counts[e];
      if (count > 0) copy_elements(out, at, values, from, count);
      fill_default(out, at + std::max<std::int64_t>(count, 0), size - std::max<std::int64_t>(count, 0), i);
      from += std::max<std::int64_t>(count, 0);
    }
    return out;
  }

  // What a missing feature, or the end of a short one, holds: the default, or its one element over and over.
  void fill_default(Tensor& out, std::int64_t at, std::int64_t count, std::size_t i) const {
    const Tensor& value = fallback(i);
    if (count == 0 || value.num_elements() == 0) return;
    if (value.dtype() != out.dtype()) ctx_.fail_node("the default of \"{}\" is {}", plan_.dense[i].key, value.describe());
    if (value.num_elements() == 1) return update_elements(Update::kAssign, out, at, value, 0, 0, count, ctx_.node().describe());
    if (value.num_elements() != count) ctx_.fail_node("the default of \"{}\" is {}", plan_.dense[i].key, value.describe());
    copy_elements(out, at, value, 0, count);
  }

  void emit_sparse(int i, int total) {
    const Column& column = sparse_[static_cast<std::size_t>(i)];
    const std::int64_t depth = plan_.single ? 1 : 2;
    Tensor indices(DataType::kInt64, {column.size(), depth});
    std::int64_t* out = indices.flat<std::int64_t>().data();
    std::int64_t longest = 0;
    for (std::size_t e = 0; e < column.counts.size(); ++e) {
      longest = std::max(longest, column.counts[e]);
      for (std::int64_t k = 0; k < column.counts[e]; ++k) {
        if (!plan_.single) *out++ = static_cast<std::int64_t>(e);
        *out++ = k;
      }
    }
    std::vector<std::int64_t> shape = batch();
    shape.push_back(longest);
    ctx_.set_output(i, std::move(indices));
    ctx_.set_output(total + i, column.values(plan_.sparse[static_cast<std::size_t>(i)].dtype));
    ctx_.set_output(2 * total + i, Tensor::vector<std::int64_t>(shape));
  }

  Tensor row_splits(std::size_t i) const {
    const std::vector<std::int64_t>& counts = ragged_[i].counts;
    const bool narrow = plan_.split_types[i] == DataType::kInt32;
    Tensor out(narrow ? DataType::kInt32 : DataType::kInt64, {static_cast<std::int64_t>(counts.size()) + 1});
    std::int64_t at = 0;
    for (std::size_t e = 0; e <= counts.size(); ++e) {
      if (narrow) {
        out.flat<std::int32_t>()[e] = static_cast<std::int32_t>(at);
      } else {
        out.flat<std::int64_t>()[e] = at;
      }
      if (e < counts.size()) at += counts[e];
    }
    return out;
  }

  EvalContext& ctx_;
  const Plan& plan_;
  std::vector<std::string_view> examples_;
  std::vector<Column> sparse_, dense_, ragged_;
  std::size_t at_ = 0;
};

void check_plan(const EvalContext& ctx, const Plan& plan) {
  std::unordered_set<std::string_view> keys;
  for (const auto* features : {&plan.sparse, &plan.dense, &plan.ragged}) {
    for (const Feature& f : *features) {
      const bool alone = features == &plan.ragged || keys.insert(f.key).second;
      if (!alone) ctx.fail_node("feature \"{}\" is asked for twice", f.key);
      if (f.dtype != DataType::kFloat32 && f.dtype != DataType::kInt64 && f.dtype != DataType::kString) {
        ctx.fail_node("feature \"{}\" is {}; float32, int64 and string are possible", f.key, dtype_name(f.dtype));
      }
    }
  }
  if (plan.dense_shapes.size() != plan.dense.size()) {
    ctx.fail_node("{} dense shapes for {} dense features", plan.dense_shapes.size(), plan.dense.size());
  }
  if (ctx.num_inputs() < plan.first_default + static_cast<int>(plan.dense.size())) ctx.fail_node("lacks defaults of dense features");
}

void parse(EvalContext& ctx, const Plan& plan) {
  check_plan(ctx, plan);
  const Tensor& serialized = ctx.input(0);
  if (serialized.dtype() != DataType::kString || serialized.rank() > 1 || (plan.single && serialized.rank() != 0)) {
    ctx.fail_node("serialized examples are {}", serialized.describe());
  }
  const auto strings = serialized.flat<std::string>();
  Parser(ctx, plan, std::vector<std::string_view>(strings.begin(), strings.end())).run();
}

template <class Context>
std::vector<Feature> typed(const Context& ctx, const std::vector<DataType>& types, const char* what, std::size_t keys) {
  if (types.size() != keys) ctx.fail_node("{} types for {} {} keys", types.size(), keys, what);
  std::vector<Feature> features(types.size());
  for (std::size_t i = 0; i < types.size(); ++i) features[i].dtype = types[i];
  return features;
}

std::vector<Feature> features_of(const EvalContext& ctx, const std::vector<std::string>& keys, const char* types_attr) {
  auto features = typed(ctx, ctx.attrs().get_or<std::vector<DataType>>(types_attr, {}), types_attr, keys.size());
  for (std::size_t i = 0; i < keys.size(); ++i) features[i].key = keys[i];
  return features;
}

std::vector<std::string> strings_of(const EvalContext& ctx, int first, int count) {
  std::vector<std::string> strings;
  for (int i = first; i < first + count; ++i) {
    if (ctx.input(i).dtype() != DataType::kString) ctx.fail_node("input {} must be strings, it is {}", i, ctx.input(i).describe());
    for (const std::string& s : ctx.input(i).flat<std::string>()) strings.push_back(s);
  }
  return strings;
}

int count_attr(const EvalContext& ctx, const char* name) {
  const auto count = ctx.attrs().get_or<std::int64_t>(name, 0);
  if (count < 0 || count > ctx.num_inputs()) ctx.fail_node("{} is {}", name, count);
  return static_cast<int>(count);
}

// serialized, names, one operand per sparse key, one per dense key, one per dense default
void evaluate_parse_example(EvalContext& ctx) {
  const int sparse = count_attr(ctx, "Nsparse");
  const int dense = count_attr(ctx, "Ndense");
  Plan plan;
  plan.sparse = features_of(ctx, strings_of(ctx, 2, sparse), "sparse_types");
  plan.dense = features_of(ctx, strings_of(ctx, 2 + sparse, dense), "Tdense");
  plan.dense_shapes = ctx.attrs().get_or<std::vector<PartialShape>>("dense_shapes", {});
  plan.first_default = 2 + sparse + dense;
  parse(ctx, plan);
}

// serialized, names, sparse keys, dense keys, ragged keys (vectors), one operand per dense default
void evaluate_parse_example_v2(EvalContext& ctx) {
  Plan plan;
  plan.sparse = features_of(ctx, strings_of(ctx, 2, 1), "sparse_types");
  plan.dense = features_of(ctx, strings_of(ctx, 3, 1), "Tdense");
  plan.ragged = features_of(ctx, strings_of(ctx, 4, 1), "ragged_value_types");
  plan.split_types = ctx.attrs().get_or<std::vector<DataType>>("ragged_split_types", {});
  if (plan.split_types.size() != plan.ragged.size()) ctx.fail_node("{} split types for {} ragged keys", plan.split_types.size(), plan.ragged.size());
  plan.dense_shapes = ctx.attrs().get_or<std::vector<PartialShape>>("dense_shapes", {});
  plan.first_default = 5;
  plan.single = ctx.input(0).rank() == 0;
  parse(ctx, plan);
}

// serialized, one operand per dense default; keys are attributes
void evaluate_parse_single_example(EvalContext& ctx) {
  Plan plan;
  plan.sparse = features_of(ctx, ctx.attrs().get_or<std::vector<std::string>>("sparse_keys", {}), "sparse_types");
  plan.dense = features_of(ctx, ctx.attrs().get_or<std::vector<std::string>>("dense_keys", {}), "Tdense");
  plan.dense_shapes = ctx.attrs().get_or<std::vector<PartialShape>>("dense_shapes", {});
  plan.first_default = 1;
  plan.single = true;
  parse(ctx, plan);
}

void infer_parse(InferContext& ctx) {
  const PartialShape& serialized = ctx.input_shape(0);
  const auto types = [&](const char* name) { return ctx.attrs().get_or<std::vector<DataType>>(name, {}); };
  const std::vector<DataType> sparse = types("sparse_types");
  const bool known = serialized.known_rank();
  const std::int64_t batch_rank = known ? serialized.rank() : 0;
  int output = 0;
  for (std::size_t i = 0; i < sparse.size(); ++i) {
    ctx.set_output(output++, DataType::kInt64, PartialShape{ctx.fresh(), known ? Dim(batch_rank + 1) : ctx.fresh()});
  }
  for (const DataType dtype : sparse) ctx.set_output(output++, dtype, PartialShape{ctx.fresh()});
  for (std::size_t i = 0; i < sparse.size(); ++i) {
    ctx.set_output(output++, DataType::kInt64, PartialShape{known ? Dim(batch_rank + 1) : ctx.fresh()});
  }
  const auto shapes = ctx.attrs().get_or<std::vector<PartialShape>>("dense_shapes", {});
  const std::vector<DataType> dense = types("Tdense");
  for (std::size_t i = 0; i < dense.size(); ++i) {
    PartialShape shape = i < shapes.size() ? shapes[i] : PartialShape{};
    if (!known) shape = {};
    if (batch_rank == 1) shape = with_rows(serialized[0], shape);
    ctx.set_output(output++, dense[i], std::move(shape));
  }
  for (const DataType dtype : types("ragged_value_types")) ctx.set_output(output++, dtype, PartialShape{ctx.fresh()});
  for (const DataType dtype : types("ragged_split_types")) ctx.set_output(output++, dtype, PartialShape{ctx.fresh()});
  ctx.set_num_outputs(output);
}

constexpr ir::OpDef kOps[] = {
    {"parse_example", infer_parse, evaluate_parse_example},
    {"parse_example_v2", infer_parse, evaluate_parse_example_v2},
    {"parse_single_example", infer_parse, evaluate_parse_single_example},
};

constexpr ImportRule kRules[] = {
    {"ParseExample", "parse_example"},
    {"ParseExampleV2", "parse_example_v2"},
    {"ParseSingleExample", "parse_single_example"},
};

}  // namespace

const OpFamily& parse_example_family() {
  static const OpFamily family{"parse_example", kOps, kRules};
  return family;
}

}  // namespace tenon::ops
