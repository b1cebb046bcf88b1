#include "tests/raylet/objects/transfer_machine.h"

#include <poll.h>

namespace raylet::test {

void Wire::Pass(uint64_t bytes_max, std::optional<uint64_t> bent_byte) {
  std::vector<char> buffer(size_t{64} << 10);
  uint64_t passed = 0;
  const auto pass = [&](const UniqueFd& in, const UniqueFd& out, size_t most, bool bend) {
    const ssize_t got = ::recv(in.get(), buffer.data(), std::min(most, buffer.size()), MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) return true;
    if (got <= 0) return false;
    if (bend && bent_byte && *bent_byte >= passed && *bent_byte < passed + static_cast<uint64_t>(got))
      buffer[*bent_byte - passed] = static_cast<char>(buffer[*bent_byte - passed] ^ 0x10);
    if (bend) passed += static_cast<uint64_t>(got);
    for (size_t sent = 0; sent < static_cast<size_t>(got);) {
      const ssize_t put = ::send(out.get(), buffer.data() + sent, static_cast<size_t>(got) - sent, MSG_NOSIGNAL);
      if (put > 0) {
        sent += static_cast<size_t>(put);
      } else if (errno == EAGAIN) {
        pollfd full{out.get(), POLLOUT, 0};
        ::poll(&full, 1, 1000);
      } else {
        return false;
      }
    }
    return true;
  };
  while (passed < bytes_max) {
    pollfd both[] = {{near_.get(), POLLIN, 0}, {far_.get(), POLLIN, 0}};
    ::poll(both, 2, 1000);
    if (both[1].revents != 0 && !pass(far_, near_, SIZE_MAX, false)) break;
    if (both[0].revents != 0 && !pass(near_, far_, bytes_max - passed, true)) break;
  }
  near_.Reset();
  far_.Reset();
}

}  // namespace raylet::test
