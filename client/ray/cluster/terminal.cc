#include "client/ray/cluster/terminal.h"

#include <unistd.h>

#include <algorithm>
#include <string>

#include "base/strings.h"

namespace raylet::client {

void TellTerminal(std::string_view sentence) {
  std::string line = StrCat("raylet: ", sentence);
  std::replace_if(
      line.begin(), line.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, '?');
  line += '\n';
  for (size_t done = 0; done < line.size();) {
    const ssize_t n = ::write(STDERR_FILENO, line.data() + done, line.size() - done);
    if (n <= 0) return;  // a closed standard error must not end the program
    done += static_cast<size_t>(n);
  }
}

}  // namespace raylet::client
