// TensorFlow's table files: sorted keys and values in blocks, as in LevelDB.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace tenon::saved {

// Calls `each(key, value)` for every entry in order; both views hold during the call only. Throws kInvalidModel when the
// table is malformed, a checksum is wrong or keys are out of order, kUnsupported for a compression that is not known.
void for_each_table_entry(std::string_view table,
                          const std::function<void(std::string_view key, std::string_view value)>& each);

// Builds a table in memory. Keys come in strictly ascending order.
class TableBuilder {
 public:
  explicit TableBuilder(bool compress) : compress_(compress) {}
  void add(std::string_view key, std::string_view value);
  std::string finish();

 private:
  struct Block {
    std::string bytes;
    std::vector<std::size_t> restarts{0};
    std::size_t since_restart = 0;
    std::string last_key;
    void add(std::string_view key, std::string_view value);
    std::string finish();
  };
  std::string write_block(std::string content);  // returns its handle
  void flush();

  bool compress_;
  std::string file_;
  Block data_;
  Block index_;
};

}  // namespace tenon::saved
