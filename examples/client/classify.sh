#!/bin/sh
# Says which class each picture belongs to, as the service answers: one request a picture, with curl alone.
#
#     sh classify.sh URL PICTURE...
#
# A picture is any PNG, JPEG, WebP, GIF, BMP or TIFF file of one digit. Prints the service's JSON, a line each. Exit
# codes: 0 done, 1 a picture was refused or the service did not answer, 2 wrong usage.

if [ $# -lt 2 ]; then
    echo "usage: sh classify.sh URL PICTURE..." >&2
    exit 2
fi
url=${1%/}
shift
code=0
for picture; do
    case $picture in
        *.[jJ][pP][gG] | *.[jJ][pP][eE][gG]) kind=image/jpeg ;;
        *) kind=image/png ;;
    esac
    if [ ! -f "$picture" ] || [ ! -r "$picture" ]; then
        echo "classify.sh: $picture: the file does not exist or cannot be read" >&2
        code=1
        continue
    fi
    # The status comes after the body: --fail-with-body would be shorter, but curl has it only from 7.76 on.
    if ! reply=$(curl --silent --write-out '%{http_code}' "$url/predict" \
        --header "Content-Type: $kind" --data-binary "@$picture"); then
        echo "classify.sh: $url does not answer; does \`mnist-serving serve\` listen there?" >&2
        exit 1
    fi
    case $reply in
        *200) echo "$picture: ${reply%200}" ;;
        *) echo "classify.sh: $picture: ${reply%???}" >&2; code=1 ;;
    esac
done
exit $code
