#include "ir/parse.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <type_traits>
#include <utility>

#include "base/error.h"
#include "ir/verify.h"

namespace tenon::ir {
namespace {

constexpr int kMaxDepth = 8;                      // of functions within function attributes
constexpr std::size_t kMaxSplat = 1 << 16;        // elements that `{=x}` may stand for
constexpr std::int64_t kMaxSymbol = 1 << 30;      // larger symbol numbers are not written by anyone
constexpr std::size_t kMaxRank = 254;             // as TensorFlow

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// The text, piece by piece.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  template <class... Args>
  [[noreturn]] void refuse(fmt::format_string<Args...> format, Args&&... args) const {
    const auto line = 1 + std::count(text_.begin(), text_.begin() + static_cast<std::ptrdiff_t>(at_), '\n');
    fail(ErrorCode::kInvalidModel, "graph text, line {}: {}", line, fmt::format(format, std::forward<Args>(args)...));
  }

  char peek() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '\t')) ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  // The character right here, white space included.
  char here() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool at_end() {
    peek();
    return at_ == text_.size();
  }
  bool accept(char c) {
    if (peek() != c || c == '\0') return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) refuse("'{}' is needed", c);
  }
  // A word of letters, digits and underscores; empty when there is none.
  std::string_view word() {
    if (!is_letter(peek())) return {};
    const std::size_t start = at_;
    while (at_ < text_.size() && (is_letter(text_[at_]) || is_digit(text_[at_]))) ++at_;
    return text_.substr(start, at_ - start);
  }
  bool accept_word(std::string_view wanted) {
    const std::size_t start = (peek(), at_);
    if (word() == wanted) return true;
    at_ = start;
    return false;
  }
  void expect_word(std::string_view wanted) {
    if (!accept_word(wanted)) refuse("\"{}\" is needed", wanted);
  }
  // The characters a number may consist of.
  std::string_view number_text() {
    peek();
    const std::size_t start = at_;
    while (at_ < text_.size() && (is_letter(text_[at_]) || is_digit(text_[at_]) || text_[at_] == '-' || text_[at_] == '+' || text_[at_] == '.')) {
      ++at_;
    }
    return text_.substr(start, at_ - start);
  }
  std::int64_t integer() {
    peek();
    std::int64_t value = 0;
    const char* begin = text_.data() + at_;
    const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), value);
    if (error != std::errc{}) refuse("an integer is needed");
    at_ += static_cast<std::size_t>(end - begin);
    return value;
  }
  std::int64_t integer_in(std::int64_t least, std::int64_t most) {
    const std::int64_t value = integer();
    if (value < least || value > most) refuse("{} is outside [{}, {}]", value, least, most);
    return value;
  }
  std::string quoted() {
    expect('"');
    std::string result;
    for (;;) {
      if (at_ >= text_.size()) refuse("a string does not end");
      const char c = text_[at_++];
      if (c == '"') return result;
      result += c == '\\' ? escape() : c;
    }
  }
  int hex_digit() {
    const char c = here();
    ++at_;
    if (is_digit(c)) return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    refuse("a hexadecimal digit is needed");
  }

 private:
  char escape() {
    const char c = here();
    ++at_;
    if (c == 'n') return '\n';
    if (c == '"' || c == '\\') return c;
    if (c != 'x') refuse("an unknown escape");
    const int high = hex_digit();
    return static_cast<char>(high * 16 + hex_digit());
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

template <class T>
T parse_float(Scanner& in, std::string_view text) {
  if (text == "nan") return std::numeric_limits<T>::quiet_NaN();
  if (text == "inf") return std::numeric_limits<T>::infinity();
  if (text == "-inf") return -std::numeric_limits<T>::infinity();
  T value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) in.refuse("\"{}\" is not a number", text);
  return value;
}

class Reader {
 public:
  Reader(std::string_view text, const ParseOptions& options) : in_(text), options_(options) {}

  std::unique_ptr<Graph> run() {
    in_.expect_word("graph");
    graph_ = std::make_unique<Graph>(in_.quoted());
    while (!in_.accept_word("parameters")) read_node();
    for (const int number : list([&] { return node_number(); })) graph_->parameters.push_back(node_at(number));
    in_.expect_word("outputs");
    for (const Reference& r : list([&] { return reference(); })) graph_->outputs.push_back(value_of(r));
    in_.expect_word("controls");
    for (const int number : list([&] { return node_number(); })) graph_->control_outputs.push_back(node_at(number));
    in_.expect_word("end");
    if (!in_.at_end()) in_.refuse("text follows the end");
    connect();
    verify(*graph_);
    return std::move(graph_);
  }

 private:
  struct Reference {
    int node;
    int index;
  };
  struct Edges {
    std::vector<Reference> inputs;
    std::vector<int> controls;
  };

  template <class F>
  std::vector<std::invoke_result_t<F>> list(F&& item) {
    std::vector<std::invoke_result_t<F>> items;
    in_.expect('(');
    if (in_.accept(')')) return items;
    do {
      items.push_back(item());
    } while (in_.accept(','));
    in_.expect(')');
    return items;
  }

  int node_number() {
    const std::string_view word = in_.word();
    int number = -1;
    if (word.size() > 1 && word[0] == 'n') {
      const auto [end, error] = std::from_chars(word.data() + 1, word.data() + word.size(), number);
      if (error != std::errc{} || end != word.data() + word.size()) number = -1;
    }
    if (number < 0) in_.refuse("a node such as n7 is needed, not \"{}\"", word);
    return number;
  }

  Reference reference() {
    const int node = node_number();
    int index = 0;
    if (in_.here() == ':') {
      in_.expect(':');
      index = static_cast<int>(in_.integer_in(0, 1 << 20));
    }
    return {node, index};
  }

  Node* node_at(int number) const {
    if (static_cast<std::size_t>(number) >= graph_->size()) in_.refuse("there is no node n{}", number);
    return graph_->nodes()[static_cast<std::size_t>(number)].get();
  }

  Value value_of(const Reference& r) const {
    Node* node = node_at(r.node);
    if (static_cast<std::size_t>(r.index) >= node->outputs.size()) in_.refuse("n{} has no output {}", r.node, r.index);
    return {node, r.index};
  }

  void read_node() {
    if (static_cast<std::size_t>(node_number()) != graph_->size()) in_.refuse("node n{} is needed here", graph_->size());
    in_.expect('=');
    const std::string_view op_name = in_.word();
    const OpDef* op = options_.find_op(op_name);
    if (op == nullptr) in_.refuse("there is no op \"{}\"", op_name);
    std::string name = in_.quoted();
    if (name.empty() || graph_->find(name) != nullptr) in_.refuse("the name \"{}\" is empty or taken", name);
    Node* node = graph_->add(*op, std::move(name), {}, attributes(0), 0);
    Edges edges;
    edges.inputs = list([&] { return reference(); });
    if (in_.accept_word("after")) edges.controls = list([&] { return node_number(); });
    if (in_.accept_word("from")) node->origin.op_type = in_.quoted();
    if (in_.accept_word("merged")) node->origin.merged = list([&] { return in_.quoted(); });
    if (in_.accept('-')) {
      in_.expect('>');
      do {
        node->outputs.push_back(value_type());
      } while (in_.accept(','));
    }
    edges_.push_back(std::move(edges));
  }

  // Edges may lead forward (loops), so they are made when all nodes are there.
  void connect() {
    for (std::size_t i = 0; i < edges_.size(); ++i) {
      Node* node = graph_->nodes()[i].get();
      for (const Reference& r : edges_[i].inputs) node->inputs.push_back(value_of(r));
      for (const int number : edges_[i].controls) node->control_inputs.push_back(node_at(number));
    }
  }

  ValueType value_type() {
    ValueType type;
    if (!in_.accept('?')) type.dtype = dtype(in_.word());
    if (in_.here() == '?') {
      in_.expect('?');
    } else {
      in_.expect('[');
      type.shape = dims(']');
    }
    return type;
  }

  DataType dtype(std::string_view word) const {
    const DataType type = dtype_from_name(word);
    if (type == DataType::kInvalid && word != "invalid") in_.refuse("\"{}\" is not a dtype", word);
    return type;
  }

  PartialShape dims(char end) {
    std::vector<Dim> result;
    if (in_.accept(end)) return PartialShape(std::move(result));
    do {
      if (result.size() == kMaxRank) in_.refuse("a shape has more than {} dims", kMaxRank);
      if (in_.accept('s')) {
        result.push_back(Dim::symbol(in_.integer_in(0, kMaxSymbol)));
      } else {
        result.push_back(in_.integer_in(0, std::numeric_limits<std::int64_t>::max()));
      }
    } while (in_.accept(','));
    in_.expect(end);
    return PartialShape(std::move(result));
  }

  Attrs attributes(int depth) {
    if (depth > kMaxDepth) in_.refuse("functions are nested too deeply");
    Attrs attrs;
    in_.expect('{');
    if (in_.accept('}')) return attrs;
    do {
      std::string key = in_.peek() == '"' ? in_.quoted() : std::string(in_.word());
      if (key.empty() || attrs.has(key)) in_.refuse("the attribute \"{}\" is empty or there twice", key);
      in_.expect(':');
      attrs.set(std::move(key), value(depth));
    } while (in_.accept(','));
    in_.expect('}');
    return attrs;
  }

  AttrValue value(int depth) {
    if (!in_.accept('[')) return scalar(depth);
    if (in_.accept(']')) return EmptyList{};
    std::vector<AttrValue> items;
    do {
      items.push_back(scalar(depth));
    } while (in_.accept(','));
    in_.expect(']');
    return std::visit([&](const auto& first) { return same_typed(first, items); }, items.front());
  }

  template <class T>
  AttrValue same_typed(const T&, const std::vector<AttrValue>& items) {
    if constexpr (std::is_constructible_v<AttrValue, std::vector<T>> && !std::is_same_v<T, EmptyList>) {
      std::vector<T> list;
      for (const AttrValue& item : items) {
        const T* typed = std::get_if<T>(&item);
        if (typed == nullptr) in_.refuse("a list holds values of several types");
        list.push_back(*typed);
      }
      return list;
    } else {
      in_.refuse("a list within a list");
    }
  }

  AttrValue scalar(int depth) {
    const char c = in_.peek();
    if (c == '"') return in_.quoted();
    if (c == '<') return shape_value();
    if (c == '@') return table_tensor();
    if (c == '&') return function(depth);
    if (is_digit(c) || c == '-') return number(in_.number_text());
    const std::string_view word = in_.word();
    if (word == "true") return true;
    if (word == "false") return false;
    if (word == "none") return Tensor();
    if (word == "nanf" || word == "inff") return number(word);
    const DataType type = dtype(word);
    if (in_.here() != '[') return type;
    return tensor(type);
  }

  AttrValue number(std::string_view text) {
    if (text.ends_with('f')) return parse_float<float>(in_, text.substr(0, text.size() - 1));
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) in_.refuse("\"{}\" is not an integer", text);
    return value;
  }

  AttrValue shape_value() {
    in_.expect('<');
    if (!in_.accept('?')) return dims('>');
    in_.expect('>');
    return PartialShape();
  }

  AttrValue table_tensor() {
    in_.expect('@');
    const auto place = static_cast<int>(in_.integer_in(0, std::numeric_limits<int>::max()));
    if (!options_.tensor) in_.refuse("@{}: there is no table of tensors", place);
    return options_.tensor(place);
  }

  AttrValue function(int depth) {
    in_.expect('&');
    FunctionRef result;
    result.name = in_.quoted();
    if (in_.here() == '{') result.attrs = std::make_shared<const Attrs>(attributes(depth + 1));
    return result;
  }

  AttrValue tensor(DataType type) {
    in_.expect('[');
    const PartialShape partial = dims(']');
    if (!partial.fully_known()) in_.refuse("a tensor has sizes that are not numbers");
    const auto count = partial.num_elements();
    if (!count) in_.refuse("a tensor is too large");
    const Shape shape = partial.to_shape();
    if (in_.peek() == '#') in_.refuse("the values of a tensor were left out when this text was written");
    if (in_.accept('x')) return hexadecimal(type, shape, static_cast<std::size_t>(*count));
    const auto expected = static_cast<std::size_t>(*count);
    switch (type) {
      case DataType::kFloat32:
        return elements<float>(type, shape, expected, [&] { return parse_float<float>(in_, in_.number_text()); });
      case DataType::kFloat64:
        return elements<double>(type, shape, expected, [&] { return parse_float<double>(in_, in_.number_text()); });
      case DataType::kInt32:
        return elements<std::int32_t>(type, shape, expected, [&] {
          return static_cast<std::int32_t>(in_.integer_in(std::numeric_limits<std::int32_t>::min(), std::numeric_limits<std::int32_t>::max()));
        });
      case DataType::kInt64:
        return elements<std::int64_t>(type, shape, expected, [&] { return in_.integer(); });
      case DataType::kBool:
        return elements<bool>(type, shape, expected, [&] {
          const std::string_view word = in_.word();
          if (word != "true" && word != "false") in_.refuse("\"{}\" is not a truth value", word);
          return word == "true";
        });
      case DataType::kString:
        return elements<std::string>(type, shape, expected, [&] { return in_.quoted(); });
      default:
        in_.refuse("a tensor of {} is written in hexadecimal", dtype_name(type));
    }
  }

  // Elements are collected first, so that a size in the text allocates nothing.
  template <class T, class F>
  Tensor elements(DataType type, const Shape& shape, std::size_t count, F&& element) {
    in_.expect('{');
    std::vector<T> values;
    if (in_.accept('=')) {
      if (count > kMaxSplat) in_.refuse("{} equal elements are too many", count);
      values.assign(count, element());
      in_.expect('}');
    } else if (!in_.accept('}')) {
      do {
        values.push_back(element());
      } while (values.size() <= count && in_.accept(','));
      in_.expect('}');
    }
    if (values.size() != count) in_.refuse("a tensor of {} has {} elements", shape.to_string(), values.size());
    Tensor tensor(type, shape);
    std::copy(values.begin(), values.end(), tensor.flat<T>().begin());
    return tensor;
  }

  Tensor hexadecimal(DataType type, const Shape& shape, std::size_t count) {
    const std::size_t size = dtype_size(type);
    if (size == 0 || type == DataType::kString || type == DataType::kResource || type == DataType::kVariant) {
      in_.refuse("a tensor of {} has no hexadecimal form", dtype_name(type));
    }
    std::vector<unsigned char> bytes;
    in_.expect('"');
    while (in_.here() != '"') {
      const int high = in_.hex_digit();
      bytes.push_back(static_cast<unsigned char>(high * 16 + in_.hex_digit()));
    }
    in_.expect('"');
    if (bytes.size() % size != 0 || bytes.size() / size != count) in_.refuse("a tensor of {} has {} bytes", shape.to_string(), bytes.size());
    Tensor tensor(type, shape);
    std::copy(bytes.begin(), bytes.end(), static_cast<unsigned char*>(tensor.data()));
    return tensor;
  }

  Scanner in_;
  const ParseOptions& options_;
  std::unique_ptr<Graph> graph_;
  std::vector<Edges> edges_;
};

}  // namespace

std::unique_ptr<Graph> parse(std::string_view text, const ParseOptions& options) { return Reader(text, options).run(); }

}  // namespace tenon::ir
