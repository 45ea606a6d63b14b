"""What to paste into a program so that it calls by the emulator: made for the address that it listens on."""

from urllib.parse import urlsplit

from answerback.emulator.send_requests import Account

_PYTHON_2 = """\
# pip install qcloudsms-py      (API 2.0)
import json
from qcloudsms_py import PromptVoiceSender
from qcloudsms_py.httpclient import HTTPSimpleClient

class Client(HTTPSimpleClient):  # the package's own json() wants Python 3.8 or older
    def fetch(self, request):
        response = super().fetch(request)
        response.json = lambda: json.loads(response.body)
        return response

sender = PromptVoiceSender({app_id}, "{app_key}", Client())
url = "{url}/v5/tlsvoicesvr/sendvoiceprompt"
print(sender.send("86", "13800138004", 2, "disk full", url=url)["callid"])
"""

_PYTHON_3 = """\
# pip install tencentcloud-sdk-python-vms      (API 3.0)
from tencentcloud.common.credential import Credential
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.vms.v20200902 import models, vms_client

http = HttpProfile(protocol="http", endpoint="{host}")
client = vms_client.VmsClient(Credential("{secret_id}", "{secret_key}"), "", ClientProfile(httpProfile=http))
request = models.SendTtsVoiceRequest()
request.VoiceSdkAppid = "{app_id}"
request.TemplateId = "{template}"
request.TemplateParamSet = ["disk full"]
request.CalledNumber = "+8613800138004"
print(client.SendTtsVoice(request).SendStatus.CallId)
"""

_NODE_3 = """\
// npm install tencentcloud-sdk-nodejs-common      (API 3.0)
const {{ CommonClient }} = require("tencentcloud-sdk-nodejs-common");

const client = new CommonClient("{host}", "2020-09-02", {{
  credential: {{ secretId: "{secret_id}", secretKey: "{secret_key}" }},
  profile: {{ httpProfile: {{ endpoint: "{host}", protocol: "http://" }} }},
}});
client
  .request("SendTtsVoice", {{
    VoiceSdkAppid: "{app_id}",
    TemplateId: "{template}",
    TemplateParamSet: ["disk full"],
    CalledNumber: "+8613800138004",
  }})
  .then((answer) => console.log(answer.SendStatus.CallId));
"""


def build_snippets(account: Account, url: str) -> dict[str, str]:
    """Title -> program, for the first application of the account."""
    application = next(iter(account.applications.values()))
    secret_id, secret_key = next(iter(account.secrets.items()), ("", ""))
    words = {
        "url": url,
        "host": urlsplit(url).netloc,
        "app_id": application.app_id,
        "app_key": application.app_key,
        "template": next(iter(application.templates), ""),
        "secret_id": secret_id,
        "secret_key": secret_key,
    }
    texts = {"Python, API 2.0": _PYTHON_2, "Python, API 3.0": _PYTHON_3, "Node, API 3.0": _NODE_3}
    return {title: text.format_map(words) for title, text in texts.items()}
