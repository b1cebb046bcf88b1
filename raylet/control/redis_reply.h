// RedisReply: an answer of Redis, and a reader that splits a stream into answers. Pure.
// Always holds: the bytes are input. An answer that makes no sense, or is larger than any answer to
// a raylet, is a kProtocolError; the stream is then useless.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

struct redisReader;

namespace raylet {

constexpr size_t kRedisReplyBytesMax = size_t{64} << 20;
constexpr size_t kRedisReplyPartsMax = size_t{1} << 16;  // in the lists of one answer, nested ones counted

struct RedisReply {
  enum class Kind { kNil, kText, kStatus, kError, kInteger, kList };
  Kind kind = Kind::kNil;
  std::string text;  // of text, status, error
  int64_t integer = 0;
  std::vector<RedisReply> list;

  bool IsText() const { return kind == Kind::kText; }
  bool IsError() const { return kind == Kind::kError; }
  bool IsList(size_t parts) const { return kind == Kind::kList && list.size() == parts; }
};

class RedisReplyReader {
 public:
  RedisReplyReader();
  ~RedisReplyReader();
  RedisReplyReader(const RedisReplyReader&) = delete;
  RedisReplyReader& operator=(const RedisReplyReader&) = delete;

  void Feed(std::span<const std::byte> bytes);
  // The next whole answer, or nothing while it is incomplete.
  Result<std::optional<RedisReply>> Next();

 private:
  struct Build;
  struct FreeReader {
    void operator()(redisReader* reader) const;
  };
  size_t parts_ = 0;  // elements in the lists of the answer under way
  std::unique_ptr<redisReader, FreeReader> reader_;
  bool overfull_ = false;
};

// Appends a command in the form that Redis reads.
void AppendRedisCommand(std::string& out, const std::vector<std::string>& words);

}  // namespace raylet
