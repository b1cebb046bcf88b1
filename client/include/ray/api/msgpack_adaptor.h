// std::any as msgpack: nil, bool, uint64_t, int64_t, double, std::string and std::vector<char>, the types that msgpack
// itself tells apart. An any of another type throws.
#pragma once

#include <any>
#include <cstdint>
#include <string>
#include <vector>

#include <ray/api/msgpack.h>

template <>
struct msgpack::v1::adaptor::pack<std::any> {
  template <class Stream>
  msgpack::packer<Stream>& operator()(msgpack::packer<Stream>& packer, const std::any& value) const {
    if (!PackFirst<msgpack::type::nil_t, bool, uint64_t, int64_t, double, std::string, std::vector<char>>(packer,
                                                                                                          value))
      throw msgpack::type_error();
    return packer;
  }

 private:
  // As the first of these types that the value has.
  template <class... T, class Packer>
  static bool PackFirst(Packer& packer, const std::any& value) {
    const auto pack_as = [&](const auto* content) {
      if (content != nullptr) packer.pack(*content);
      return content != nullptr;
    };
    return (pack_as(std::any_cast<T>(&value)) || ...);
  }
};

template <>
struct msgpack::v1::adaptor::convert<std::any> {
  const msgpack::object& operator()(const msgpack::object& object, std::any& value) const {
    switch (object.type) {
      case msgpack::type::NIL: value = msgpack::type::nil_t(); break;
      case msgpack::type::BOOLEAN: value = object.as<bool>(); break;
      case msgpack::type::POSITIVE_INTEGER: value = object.as<uint64_t>(); break;
      case msgpack::type::NEGATIVE_INTEGER: value = object.as<int64_t>(); break;
      case msgpack::type::FLOAT32:
      case msgpack::type::FLOAT64: value = object.as<double>(); break;
      case msgpack::type::STR: value = object.as<std::string>(); break;
      case msgpack::type::BIN: value = object.as<std::vector<char>>(); break;
      default: throw msgpack::type_error();
    }
    return object;
  }
};
