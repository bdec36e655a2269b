#include "ops/tables.h"

#include <cstring>
#include <mutex>

#include "base/error.h"
#include "ir/eval_context.h"
#include "ir/infer_context.h"
#include "ops/elements.h"
#include "ops/registry.h"
#include "ops/resource_handle.h"
#include "ops/text_table.h"

namespace tenon::ops {
namespace {

Shape with_prefix(std::vector<std::int64_t> prefix, const Shape& rest) {
  prefix.insert(prefix.end(), rest.begin(), rest.end());
  return Shape(std::move(prefix));
}

// The leading dimensions of `shape` when it ends with `suffix`.
std::optional<std::vector<std::int64_t>> leading_dims(const Shape& shape, const Shape& suffix) {
  if (shape.rank() < suffix.rank()) return std::nullopt;
  const int lead = shape.rank() - suffix.rank();
  for (int i = 0; i < suffix.rank(); ++i) {
    if (shape[lead + i] != suffix[i]) return std::nullopt;
  }
  return std::vector<std::int64_t>(shape.begin(), shape.begin() + lead);
}

}  // namespace

Shape Table::grown(std::int64_t rows) const { return with_prefix({rows}, type_.value_shape); }

std::int64_t Table::size() const {
  const std::shared_lock lock(mutex_);
  return static_cast<std::int64_t>(index_.size());
}

// A key as bytes: a string itself, a number as it lies in memory, a vector of strings with lengths.
std::string_view Table::key_bytes(const Tensor& keys, std::int64_t i, std::string& buffer) const {
  const std::int64_t parts = type_.key_shape.num_elements();
  if (type_.key_dtype != DataType::kString) {
    const std::size_t size = dtype_size(type_.key_dtype) * static_cast<std::size_t>(parts);
    return {static_cast<const char*>(keys.data()) + static_cast<std::size_t>(i) * size, size};
  }
  const auto strings = keys.flat<std::string>().subspan(static_cast<std::size_t>(i * parts), static_cast<std::size_t>(parts));
  if (parts == 1) return strings[0];
  buffer.clear();
  for (const std::string& s : strings) buffer.append(std::to_string(s.size())).append(1, ':').append(s);
  return buffer;
}

std::int64_t Table::count_keys(const Tensor& keys, std::string_view who) const {
  if (keys.dtype() != type_.key_dtype || !leading_dims(keys.shape(), type_.key_shape)) {
    fail(ErrorCode::kInvalidArgument, "{}: the table's keys are {}{}, found {}", who, dtype_name(type_.key_dtype),
         type_.key_shape.to_string(), keys.describe());
  }
  const std::int64_t per_key = type_.key_shape.num_elements();
  return per_key == 0 ? 0 : keys.num_elements() / per_key;
}

void Table::check_values(const Tensor& values, std::int64_t count, std::string_view who) const {
  const bool fits = leading_dims(values.shape(), type_.value_shape) &&
                    values.num_elements() == count * type_.value_shape.num_elements();
  if (values.dtype() != type_.value_dtype || !fits) {
    fail(ErrorCode::kInvalidArgument, "{}: {} values {}{} are needed, found {}", who, count, dtype_name(type_.value_dtype),
         type_.value_shape.to_string(), values.describe());
  }
}

Tensor Table::find(const Tensor& keys, const Tensor& fallback, std::string_view who) const {
  const std::int64_t count = count_keys(keys, who);
  const std::int64_t size = type_.value_shape.num_elements();
  const bool one_fallback = fallback.num_elements() == size;
  check_values(fallback, one_fallback ? 1 : count, who);
  Tensor out(type_.value_dtype, with_prefix(*leading_dims(keys.shape(), type_.key_shape), type_.value_shape));
  std::string buffer;
  const std::shared_lock lock(mutex_);
  if (!filled_ && !type_.is_mutable) {
    fail(ErrorCode::kInvalidArgument, "{}: the table is not initialised; run the model's initializer first", who);
  }
  for (std::int64_t i = 0; i < count; ++i) {
    const auto it = index_.find(key_bytes(keys, i, buffer));
    if (it != index_.end()) {
      copy_elements(out, i * size, values_, it->second * size, size);
    } else {
      copy_elements(out, i * size, fallback, one_fallback ? 0 : i * size, size);
    }
  }
  return out;
}

bool Table::same_value(std::int64_t row, const Tensor& values, std::int64_t i) const {
  const std::int64_t size = type_.value_shape.num_elements();
  if (type_.value_dtype == DataType::kString) {
    const auto* a = values_.flat<std::string>().data() + row * size;
    return std::equal(a, a + size, values.flat<std::string>().data() + i * size);
  }
  const std::size_t bytes = dtype_size(type_.value_dtype) * static_cast<std::size_t>(size);
  return std::memcmp(static_cast<const char*>(values_.data()) + static_cast<std::size_t>(row) * bytes,
                     static_cast<const char*>(values.data()) + static_cast<std::size_t>(i) * bytes, bytes) == 0;
}

std::int64_t Table::add_row(std::string_view key) {
  std::int64_t row = static_cast<std::int64_t>(row_keys_.size());
  if (!free_rows_.empty()) {
    row = free_rows_.back();
    free_rows_.pop_back();
  } else {
    if (row == values_.dim(0)) {
      Tensor larger(type_.value_dtype, grown(std::max<std::int64_t>(16, 2 * row)));
      copy_elements(larger, 0, values_, 0, values_.num_elements());
      values_ = std::move(larger);
    }
    row_keys_.push_back(nullptr);
  }
  const auto [it, added] = index_.emplace(std::string(key), row);
  row_keys_[static_cast<std::size_t>(row)] = &it->first;
  return row;
}

void Table::insert_locked(const Tensor& keys, const Tensor& values, std::string_view who) {
  const std::int64_t count = count_keys(keys, who);
  check_values(values, count, who);
  const std::int64_t size = type_.value_shape.num_elements();
  std::string buffer;
  filled_ = true;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::string_view key = key_bytes(keys, i, buffer);
    const auto it = index_.find(key);
    if (it != index_.end() && !type_.is_mutable) {
      if (!same_value(it->second, values, i)) {
        fail(ErrorCode::kInvalidArgument, "{}: key {} of the table is given two different values", who, i);
      }
      continue;
    }
    const std::int64_t row = it != index_.end() ? it->second : add_row(key);
    copy_elements(values_, row * size, values, i * size, size);
  }
}

void Table::insert(const Tensor& keys, const Tensor& values, std::string_view who) {
  const std::unique_lock lock(mutex_);
  insert_locked(keys, values, who);
}

void Table::remove(const Tensor& keys, std::string_view who) {
  const std::int64_t count = count_keys(keys, who);
  std::string buffer;
  const std::unique_lock lock(mutex_);
  for (std::int64_t i = 0; i < count; ++i) {
    const auto it = index_.find(key_bytes(keys, i, buffer));
    if (it == index_.end()) continue;
    row_keys_[static_cast<std::size_t>(it->second)] = nullptr;
    free_rows_.push_back(it->second);
    index_.erase(it);
  }
}

void Table::replace(const Tensor& keys, const Tensor& values, std::string_view who) {
  const std::unique_lock lock(mutex_);
  check_values(values, count_keys(keys, who), who);
  index_.clear();
  row_keys_.clear();
  free_rows_.clear();
  insert_locked(keys, values, who);
}

Table::Entries Table::entries() const {
  const std::shared_lock lock(mutex_);
  const auto count = static_cast<std::int64_t>(index_.size());
  const std::int64_t size = type_.value_shape.num_elements();
  Entries result{Tensor(type_.key_dtype, with_prefix({count}, type_.key_shape)), Tensor(type_.value_dtype, grown(count))};
  std::int64_t at = 0;
  for (std::size_t row = 0; row < row_keys_.size(); ++row) {
    if (row_keys_[row] == nullptr) continue;
    const std::string& key = *row_keys_[row];
    if (type_.key_dtype == DataType::kString) {
      result.keys.flat<std::string>()[static_cast<std::size_t>(at)] = key;
    } else {
      std::memcpy(static_cast<char*>(result.keys.data()) + static_cast<std::size_t>(at) * key.size(), key.data(), key.size());
    }
    copy_elements(result.values, at * size, values_, static_cast<std::int64_t>(row) * size, size);
    ++at;
  }
  return result;
}

namespace {

using ir::EvalContext;
using ir::InferContext;

void infer_table(InferContext& ctx) { ctx.set_output(0, DataType::kResource, Shape{}); }

TableType table_type(EvalContext& ctx, bool is_mutable) {
  TableType type;
  type.key_dtype = ctx.attrs().get<DataType>("key_dtype");
  type.value_dtype = ctx.attrs().get<DataType>("value_dtype");
  type.is_mutable = is_mutable;
  const auto value_shape = ctx.attrs().get_or<PartialShape>("value_shape", Shape{});
  if (is_mutable && value_shape.fully_known()) type.value_shape = value_shape.to_shape();
  if (is_mutable && !value_shape.fully_known()) ctx.fail_node("value_shape {} must be known", value_shape.to_string());
  if (ctx.num_inputs() == 2) type.key_shape = ctx.input(0).shape();  // the dense table's empty key
  if (type.key_dtype == DataType::kString && type.key_shape.rank() > 0) ctx.fail_node("keys that are vectors of strings");
  return type;
}

template <bool kMutable, bool kAnonymous>
void evaluate_table(EvalContext& ctx) {
  const TableType type = table_type(ctx, kMutable);
  if constexpr (kAnonymous) {
    ctx.set_output(0, make_handle(std::make_shared<Table>(type)));
  } else {
    const auto table = session_resource<Table>(ctx, "a table", [&] { return std::make_shared<Table>(type); });
    if (table->type().key_dtype != type.key_dtype || table->type().value_dtype != type.value_dtype) {
      ctx.fail_node("the table of this name maps {} to {}", dtype_name(table->type().key_dtype), dtype_name(table->type().value_dtype));
    }
    ctx.set_output(0, make_handle(table));
  }
}

std::shared_ptr<Table> table_operand(EvalContext& ctx) { return handle_operand<Table>(ctx, 0, "a table's handle"); }

void infer_find(InferContext& ctx) {
  ctx.expect_inputs(3);
  const PartialShape& fallback = ctx.input_shape(2);
  ir::Node* table = ctx.node().inputs[0].node;
  while (table->is("identity") && table->inputs.size() == 1) table = table->inputs[0].node;
  const bool plain = table->is("hash_table") || table->is("anonymous_hash_table");
  const bool scalar_values = table->is("mutable_hash_table") && fallback.known_rank() && fallback.rank() == 0;
  DataType dtype = ctx.attrs().get_or<DataType>("Tout", ctx.input_dtype(2));
  ctx.set_output(0, dtype, plain || scalar_values ? ctx.input_shape(1) : PartialShape{});
}

void evaluate_find(EvalContext& ctx) {
  ctx.set_output(0, table_operand(ctx)->find(ctx.input(1), ctx.input(2), ctx.node().describe()));
}

void infer_size(InferContext& ctx) {
  ctx.expect_inputs(1);
  ctx.set_output(0, DataType::kInt64, Shape{});
}

void evaluate_size(EvalContext& ctx) { ctx.set_output(0, Tensor::scalar(table_operand(ctx)->size())); }

void infer_no_result(InferContext& ctx) { ctx.set_num_outputs(0); }

void evaluate_insert(EvalContext& ctx) { table_operand(ctx)->insert(ctx.input(1), ctx.input(2), ctx.node().describe()); }
void evaluate_import(EvalContext& ctx) { table_operand(ctx)->replace(ctx.input(1), ctx.input(2), ctx.node().describe()); }
void evaluate_remove(EvalContext& ctx) { table_operand(ctx)->remove(ctx.input(1), ctx.node().describe()); }

void infer_export(InferContext& ctx) {
  ctx.expect_inputs(1);
  const Dim count = ctx.fresh();
  ctx.set_output(0, ctx.attrs().get<DataType>("Tkeys"), {});
  ctx.set_output(1, ctx.attrs().get<DataType>("Tvalues"), {});
  const ir::Node* table = ctx.node().inputs[0].node;
  if (table->is("hash_table") || table->is("mutable_hash_table")) {
    ctx.set_output(0, ctx.attrs().get<DataType>("Tkeys"), PartialShape{count});
    if (!table->attrs.has("value_shape")) ctx.set_output(1, ctx.attrs().get<DataType>("Tvalues"), PartialShape{count});
  }
}

void evaluate_export(EvalContext& ctx) {
  Table::Entries entries = table_operand(ctx)->entries();
  ctx.set_output(0, std::move(entries.keys));
  ctx.set_output(1, std::move(entries.values));
}

void evaluate_initialize_from_file(EvalContext& ctx) {
  const auto table = table_operand(ctx);
  const Tensor& file = ctx.input(1);
  if (file.dtype() != DataType::kString || file.num_elements() != 1) ctx.fail_node("the file's name is {}", file.describe());
  TextTableFormat format;
  format.key_index = ctx.attrs().get<std::int64_t>("key_index");
  format.value_index = ctx.attrs().get<std::int64_t>("value_index");
  format.vocab_size = ctx.attrs().get_or<std::int64_t>("vocab_size", -1);
  format.offset = ctx.attrs().get_or<std::int64_t>("offset", 0);
  format.delimiter = ctx.attrs().get_or<std::string>("delimiter", "\t");
  const TextTable read = read_text_table(file.flat<std::string>()[0], format, table->type().key_dtype, table->type().value_dtype);
  table->insert(read.keys, read.values, ctx.node().describe());
}

constexpr ir::OpDef kOps[] = {
    {"hash_table", infer_table, evaluate_table<false, false>, ir::kStateful},
    {"anonymous_hash_table", infer_table, evaluate_table<false, true>, ir::kStateful},
    {"mutable_hash_table", infer_table, evaluate_table<true, false>, ir::kStateful},
    {"anonymous_mutable_hash_table", infer_table, evaluate_table<true, true>, ir::kStateful},
    {"mutable_dense_hash_table", infer_table, evaluate_table<true, false>, ir::kStateful},
    {"anonymous_mutable_dense_hash_table", infer_table, evaluate_table<true, true>, ir::kStateful},
    {"table_find", infer_find, evaluate_find, ir::kStateful},
    {"table_size", infer_size, evaluate_size, ir::kStateful},
    {"table_insert", infer_no_result, evaluate_insert, ir::kStateful},
    {"table_import", infer_no_result, evaluate_import, ir::kStateful},
    {"table_remove", infer_no_result, evaluate_remove, ir::kStateful},
    {"table_export", infer_export, evaluate_export, ir::kStateful},
    {"table_initialize_from_file", infer_no_result, evaluate_initialize_from_file, ir::kStateful},
};

constexpr ImportRule kRules[] = {
    {"HashTable", "hash_table"},
    {"HashTableV2", "hash_table"},
    {"AnonymousHashTable", "anonymous_hash_table"},
    {"MutableHashTable", "mutable_hash_table"},
    {"MutableHashTableV2", "mutable_hash_table"},
    {"MutableHashTableOfTensors", "mutable_hash_table"},
    {"MutableHashTableOfTensorsV2", "mutable_hash_table"},
    {"AnonymousMutableHashTable", "anonymous_mutable_hash_table"},
    {"AnonymousMutableHashTableOfTensors", "anonymous_mutable_hash_table"},
    {"MutableDenseHashTable", "mutable_dense_hash_table"},
    {"MutableDenseHashTableV2", "mutable_dense_hash_table"},
    {"AnonymousMutableDenseHashTable", "anonymous_mutable_dense_hash_table"},
    {"LookupTableFind", "table_find"},
    {"LookupTableFindV2", "table_find"},
    {"LookupTableSize", "table_size"},
    {"LookupTableSizeV2", "table_size"},
    {"LookupTableInsert", "table_insert"},
    {"LookupTableInsertV2", "table_insert"},
    {"LookupTableImport", "table_import"},
    {"LookupTableImportV2", "table_import"},
    {"LookupTableRemoveV2", "table_remove"},
    {"LookupTableExport", "table_export"},
    {"LookupTableExportV2", "table_export"},
    {"InitializeTable", "table_insert"},
    {"InitializeTableV2", "table_insert"},
    {"InitializeTableFromTextFile", "table_initialize_from_file"},
    {"InitializeTableFromTextFileV2", "table_initialize_from_file"},
};

}  // namespace

const OpFamily& tables_family() {
  static const OpFamily family{"tables", kOps, kRules};
  return family;
}

}  // namespace tenon::ops
