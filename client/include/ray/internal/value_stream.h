// ValueStream: what msgpack-c packs a user's value into. Packers of this stream keep each value exact: a float stays a
// float, whatever its value, and a present optional never becomes an absent one. The rules below bind this stream
// alone. So they change nothing in a program's own use of msgpack-c, not even where another file includes <msgpack.hpp>
// alone.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <utility>

#include <boost/optional.hpp>

#include <ray/api/msgpack.h>

#include <ray/internal/export.h>

namespace ray {
namespace internal {

struct ValueStream {
  std::string* out;
  void write(const char* data, size_t size) { out->append(data, size); }
};

// "cannot write a value of type T: reason".
[[noreturn]] RAYLET_API void ThrowCannotWrite(const std::type_info& type, const char* reason);

constexpr char kMsgpackNil = static_cast<char>(0xc0);
constexpr char kMsgpackFloat32 = static_cast<char>(0xca);
constexpr char kMsgpackFloat64 = static_cast<char>(0xcb);

// The types that msgpack-c packs as nil where they are empty, else as their content.
template <class T>
struct NilableTraits {
  static constexpr bool kIs = false;
};
template <class T>
struct NilableTraits<std::optional<T>> {
  static constexpr bool kIs = true;
  using Content = T;
  static std::optional<T> Make(T&& content) { return std::optional<T>(std::in_place, std::move(content)); }
};
template <class T>
struct NilableTraits<boost::optional<T>> {
  static constexpr bool kIs = true;
  using Content = T;
  static boost::optional<T> Make(T&& content) { return boost::optional<T>(std::move(content)); }
};
template <class T>
struct NilableTraits<std::shared_ptr<T>> {
  static constexpr bool kIs = true;
  using Content = T;
  static std::shared_ptr<T> Make(T&& content) { return std::make_shared<T>(std::move(content)); }
};
template <class T>
struct NilableTraits<std::unique_ptr<T>> {
  static constexpr bool kIs = true;
  using Content = T;
  static std::unique_ptr<T> Make(T&& content) { return std::make_unique<T>(std::move(content)); }
};

// A floating-point number as msgpack has it: the byte of its format, then its bits, the highest byte first.
template <class Bits, class Real>
std::array<char, 1 + sizeof(Real)> MsgpackReal(char format, Real value) {
  static_assert(sizeof(Bits) == sizeof(Real));
  Bits bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  if constexpr (sizeof bits == sizeof(uint32_t))
    bits = __builtin_bswap32(bits);
  else
    bits = __builtin_bswap64(bits);
  std::array<char, 1 + sizeof(Real)> bytes{format};
  std::memcpy(bytes.data() + 1, &bits, sizeof bits);
  return bytes;
}

template <class T>
constexpr bool kPacksItself = requires(const T& value, msgpack::packer<ValueStream>& packer) {
  value.msgpack_pack(packer);
};

}  // namespace internal
}  // namespace ray

// Specialised before the first use of packer<ValueStream>, in the namespace that defines the templates.
// Some releases of msgpack-c pack whole numbers as integers here, which have no -0.0.
template <>
inline msgpack::v1::packer<ray::internal::ValueStream>& msgpack::v1::packer<ray::internal::ValueStream>::pack_float(
    float value) {
  const auto bytes = ray::internal::MsgpackReal<uint32_t>(ray::internal::kMsgpackFloat32, value);
  append_buffer(bytes.data(), bytes.size());
  return *this;
}

template <>
inline msgpack::v1::packer<ray::internal::ValueStream>& msgpack::v1::packer<ray::internal::ValueStream>::pack_double(
    double value) {
  const auto bytes = ray::internal::MsgpackReal<uint64_t>(ray::internal::kMsgpackFloat64, value);
  append_buffer(bytes.data(), bytes.size());
  return *this;
}

// Refuses what would come back as something else. UnpackBytes takes such a value where it is the whole of an argument
// or a result.
template <>
template <class T>
inline msgpack::v1::packer<ray::internal::ValueStream>& msgpack::v1::packer<ray::internal::ValueStream>::pack(
    const T& value) {
  const size_t begin = m_stream.out->size();
  msgpack::operator<<(*this, value);
  if constexpr (ray::internal::NilableTraits<T>::kIs) {
    if (value && (*m_stream.out)[begin] == ray::internal::kMsgpackNil)
      ray::internal::ThrowCannotWrite(
          typeid(T),
          "it is present but its content is empty, and would come back as absent: within other values, "
          "use a struct with a flag");
  }
  return *this;
}

template <class T>
struct msgpack::v1::detail::packer_serializer<ray::internal::ValueStream, T> {
  static_assert(ray::internal::kPacksItself<T>,
                "values of this type cannot travel yet: write MSGPACK_DEFINE(its fields…) inside of a class or "
                "struct, and MSGPACK_ADD_ENUM(the type) outside of every namespace for an enum");
  using Packer = msgpack::packer<ray::internal::ValueStream>;
  static Packer& pack(Packer& packer, const T& value) {
    if constexpr (ray::internal::kPacksItself<T>) value.msgpack_pack(packer);
    return packer;
  }
};
