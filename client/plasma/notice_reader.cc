#include "client/plasma/notice_reader.h"

#include <sys/socket.h>

#include <cerrno>

#include "base/clock.h"
#include "base/strings.h"
#include "base/unix_socket.h"

namespace raylet::client {
namespace {

constexpr Duration kLookSlice = std::chrono::milliseconds(100);

}  // namespace

Result<ObjectNotice> NoticeReader::Read(int socket, const std::function<Result<void>()>& usable) {
  for (;;) {
    RAYLET_RETURN_IF_ERROR(usable());
    const auto notice = TryRead(socket);
    if (!notice) return Fail(notice.error());
    if (notice->has_value()) return **notice;
    // A failure comes again, from the next attempt to read.
    static_cast<void>(WaitReadable(socket, Deadline::After(kLookSlice)));
  }
}

Result<std::optional<ObjectNotice>> NoticeReader::TryRead(int socket) {
  std::byte bytes[kNoticeLengthBytes + kNoticeContentBytesMax];
  const MutexLock lock(mutex_);
  const ssize_t seen = ::recv(socket, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
  if (seen < 0 && (errno == EAGAIN || errno == EINTR)) return std::nullopt;
  if (seen < 0) return FailErrno(StrCat("cannot read notices from descriptor ", socket), errno);
  if (seen == 0)
    return Fail(ErrorCode::kDisconnected, StrCat("the store has ended the subscription of descriptor ", socket,
                                                 ", because it ended itself or because its reader was more than ",
                                                 "65,536 notices behind: subscribe anew"));
  const std::span<const std::byte> arrived(bytes, static_cast<size_t>(seen));
  const auto content_bytes = NoticeContentBytes(arrived);
  if (!content_bytes) return Fail(content_bytes.error());
  const size_t whole = kNoticeLengthBytes + *content_bytes;
  if (arrived.size() < whole)
    return Fail(ErrorCode::kProtocolError, StrCat("descriptor ", socket, " has ", seen, " bytes of a notice of ", whole,
                                                  ": did someone else read from it?"));
  if (::recv(socket, bytes, whole, MSG_DONTWAIT) != static_cast<ssize_t>(whole))
    return Fail(ErrorCode::kProtocolError, StrCat("someone else reads from descriptor ", socket));
  const auto notice = ParseNotice(std::span<const std::byte>(bytes).subspan(kNoticeLengthBytes, *content_bytes));
  if (!notice) return Fail(notice.error());
  return *notice;
}

}  // namespace raylet::client
