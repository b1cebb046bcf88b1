#include "raylet/control/redis_reply.h"

#include <hiredis/read.h>

#include <utility>

#include "base/strings.h"

namespace raylet {

// These make our replies for hiredis's reader. The outermost reply is on the heap; the reader owns
// it until it hands it out. The elements of a list lie in their list, which has its full size from
// the start.
struct RedisReplyReader::Build {
  static RedisReply* Place(const redisReadTask* task) {
    if (task->parent == nullptr) return new RedisReply();
    return &static_cast<RedisReply*>(task->parent->obj)->list[static_cast<size_t>(task->idx)];
  }
  static void* Text(const redisReadTask* task, char* text, size_t bytes) {
    RedisReply* const reply = Place(task);
    reply->kind = task->type == REDIS_REPLY_ERROR    ? RedisReply::Kind::kError
                  : task->type == REDIS_REPLY_STATUS ? RedisReply::Kind::kStatus
                                                     : RedisReply::Kind::kText;
    reply->text.assign(text, bytes);
    return reply;
  }
  static void* List(const redisReadTask* task, int parts) {
    auto* const self = static_cast<RedisReplyReader*>(task->privdata);
    if (parts < 0 || static_cast<size_t>(parts) > kRedisReplyPartsMax - self->parts_) return nullptr;
    self->parts_ += static_cast<size_t>(parts);
    RedisReply* const reply = Place(task);
    reply->kind = RedisReply::Kind::kList;
    reply->list.resize(static_cast<size_t>(parts));
    return reply;
  }
  static void* Integer(const redisReadTask* task, long long value) {
    RedisReply* const reply = Place(task);
    reply->kind = RedisReply::Kind::kInteger;
    reply->integer = value;
    return reply;
  }
  static void* Nil(const redisReadTask* task) { return Place(task); }
  static void Free(void* reply) { delete static_cast<RedisReply*>(reply); }

  static redisReplyObjectFunctions functions;
};

redisReplyObjectFunctions RedisReplyReader::Build::functions = {&Text, &List, &Integer, &Nil, &Free};

void RedisReplyReader::FreeReader::operator()(redisReader* reader) const { redisReaderFree(reader); }

RedisReplyReader::RedisReplyReader() : reader_(redisReaderCreateWithFunctions(&Build::functions)) {
  reader_->privdata = this;
}

RedisReplyReader::~RedisReplyReader() = default;

void RedisReplyReader::Feed(std::span<const std::byte> bytes) {
  overfull_ = overfull_ || reader_->len - reader_->pos + bytes.size() > kRedisReplyBytesMax;
  if (overfull_) return;
  redisReaderFeed(reader_.get(), reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

Result<std::optional<RedisReply>> RedisReplyReader::Next() {
  if (overfull_) {
    return Fail(ErrorCode::kProtocolError,
                StrCat("an answer of the control store has more than ", kRedisReplyBytesMax, " bytes"));
  }
  void* made = nullptr;
  if (redisReaderGetReply(reader_.get(), &made) != 0 /* REDIS_OK */) {
    return Fail(ErrorCode::kProtocolError, StrCat("the control store does not speak as Redis does (", reader_->errstr,
                                                  "): see that its address is right"));
  }
  if (made == nullptr) return std::nullopt;
  parts_ = 0;
  const std::unique_ptr<RedisReply> reply(static_cast<RedisReply*>(made));
  return std::move(*reply);
}

void AppendRedisCommand(std::string& out, const std::vector<std::string>& words) {
  out += StrCat("*", words.size(), "\r\n");
  for (const std::string& word : words) out += StrCat("$", word.size(), "\r\n", word, "\r\n");
}

}  // namespace raylet
