// A protobuf message under construction whose large parts are not copied.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace tenon::saved {

// Bytes in pieces: small ones are gathered, large ones are views into memory that must outlive the rope.
class WireRope {
 public:
  // Bytes as they are, such as whole fields copied from another message.
  void append(std::string_view bytes);
  void append(WireRope&& other);
  // Keeps the string itself.
  void append_owned(std::string bytes);

  // A length-delimited field.
  void field(std::uint32_t number, std::string_view content);
  void field_owned(std::uint32_t number, std::string content);
  void field(std::uint32_t number, WireRope&& content);

  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  // In order.
  template <class F>
  void for_each_piece(F&& each) const {
    for (const Piece& piece : pieces_) {
      each(piece.owned == kNone ? piece.view : std::string_view(strings_[piece.owned]));
    }
  }
  std::string to_string() const;

 private:
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);
  struct Piece {
    std::string_view view;
    std::size_t owned = kNone;  // index into strings_
  };
  std::string& tail();
  void header(std::uint32_t number, std::size_t size);

  std::vector<Piece> pieces_;
  std::deque<std::string> strings_;
  std::size_t size_ = 0;
};

}  // namespace tenon::saved
